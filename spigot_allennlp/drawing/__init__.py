from spigot_allennlp.drawing.arcs import CHANGES as CHANGES
from spigot_allennlp.drawing.arcs import draw_graph as draw_graph
from spigot_allennlp.drawing.arcs import draw_tree as draw_tree
from spigot_allennlp.drawing.arcs import stack as stack
