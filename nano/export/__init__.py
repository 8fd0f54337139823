"""Networks for other runtimes: rewrites, ONNX files, parity, quantisation, folders to ship."""
