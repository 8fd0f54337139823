"""The packages of the extra ``export``; whatever needs them takes them from here."""

from nano.errors import MissingPackage

try:
    import onnx
    import onnxruntime
except ImportError as missing:
    raise MissingPackage(
        f"export needs {missing.name}: pip install 'depthnet-nano[export]'"
    ) from missing

__all__ = ["onnx", "onnxruntime"]
