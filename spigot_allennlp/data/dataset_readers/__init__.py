from spigot_allennlp.data.dataset_readers.conllu import ConlluReader
from spigot_allennlp.data.dataset_readers.sdp import SdpReader
from spigot_allennlp.data.dataset_readers.sentence_reader import ROOT, TOP, SentenceReader
from spigot_allennlp.data.dataset_readers.sentiment import SentimentReader

__all__ = ["ROOT", "TOP", "ConlluReader", "SdpReader", "SentenceReader", "SentimentReader"]
