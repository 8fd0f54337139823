"""Networks for other runtimes: exact rewrites, ONNX files, parity, quantisation, folders to ship."""
