"""What a traced function of TensorFlow consists of."""


def operations(graph):
    """The kind of each operation in a graph, those in the functions that it calls included."""
    definition = graph.as_graph_def()
    parts = [definition.node, *(f.node_def for f in definition.library.function)]
    return [node.op for part in parts for node in part]
