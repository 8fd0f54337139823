"""The packages of the extra ``export``; whatever needs them takes them from here."""

from nano.errors import MissingPackage

try:
    import onnx
    import onnxruntime
    from google.protobuf.message import DecodeError
except ImportError as missing:
    raise MissingPackage(
        f"export needs {missing.name}: pip install 'depthnet-nano[export]'"
    ) from missing

__all__ = ["DecodeError", "onnx", "onnxruntime"]
