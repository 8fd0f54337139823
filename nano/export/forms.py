"""What a file may be: one vocabulary for those who write, read and measure it."""

PRECISIONS = ("float32", "float16", "int8")
# Opset to the IR version of its own time, which older readers insist on: TensorRT 8.0-8.2 read 13,
# 8.4-8.6 read 17, 10 reads 20.
IR_VERSIONS = {13: 7, 17: 8, 20: 9}
