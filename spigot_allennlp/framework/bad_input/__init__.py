"""
What the command line says of bad input: `error: …`, one line in place of a traceback.

Only what a user can mend is told like this, and only in runs of this package's models, readers, trainers and commands.
All other errors keep their traceback, and with the framework's environment variable ALLENNLP_DEBUG these do too. The
exceptions stay what they are: from Python there is no difference.

Where user's input enters code of ours, [`explained`](./explanation.md#explained) attaches the explanation to what is
raised there. Of what the framework reads itself, the arguments of its command tell ([`command`](./command.md)); and
[`hook`](./hook.md) prints it.
"""

from spigot_allennlp.framework.bad_input.explanation import describe as describe
from spigot_allennlp.framework.bad_input.explanation import explain as explain
from spigot_allennlp.framework.bad_input.explanation import explained as explained
from spigot_allennlp.framework.bad_input.explanation import naming as naming
