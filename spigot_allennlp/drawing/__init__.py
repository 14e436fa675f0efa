from spigot_allennlp.drawing.arcs import draw as draw
from spigot_allennlp.drawing.arcs import draw_graph as draw_graph
from spigot_allennlp.drawing.arcs import draw_tree as draw_tree
from spigot_allennlp.drawing.kinds import CHANGES as CHANGES
from spigot_allennlp.drawing.side import Side as Side
from spigot_allennlp.drawing.side import tree_side as tree_side
from spigot_allennlp.drawing.svg import stack as stack
