"""Writes tensorboard.tfevents by PyPI's tensorboard: what tests/io/tensorboard_test.cpp writes, at second 1."""

import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

long_text = "Once upon a time, " * 20 + "there was a café.\n"
text = Summary.Value(
    tag="sample",
    tensor=TensorProto(dtype=DT_STRING, string_val=[long_text.encode()],
                       tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])),
    metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")))
events = [
    Event(file_version="brain.Event:2"),
    Event(session_log=SessionLog(status=SessionLog.START)),
    Event(summary=Summary(value=[Summary.Value(tag="loss", simple_value=0.1),
                                 Summary.Value(tag="zero", simple_value=0.0)])),
    Event(step=128, summary=Summary(value=[Summary.Value(tag="loss", simple_value=float("nan"))])),
    Event(step=300, summary=Summary(value=[text])),
    Event(step=5_000_000_000, session_log=SessionLog(status=SessionLog.START)),
]
with open(pathlib.Path(__file__).parent / "tensorboard.tfevents", "wb") as file:
    records = RecordWriter(file)
    for event in events:
        event.wall_time = 1
        records.write(event.SerializeToString())
