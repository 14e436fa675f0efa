from spigot_allennlp.commands.compare import Compare as Compare
from spigot_allennlp.commands.convert import Convert as Convert
from spigot_allennlp.commands.draw import Draw as Draw
from spigot_allennlp.commands.serve import Serve as Serve
from spigot_allennlp.commands.tune import Tune as Tune
