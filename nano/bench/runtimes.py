"""What a network is run by: torch, torch.compile, our kernels, ONNX Runtime, TensorRT.

All by one protocol: a runtime is prepared once and gives back a function that runs one inference
and returns when its result is there. The input stays where the runtime computes: transfers are not
timed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

from nano.errors import InputError, MissingPackage
from nano.export import native
from nano.export.rewrite import rewritten
from nano.networks.model import Model

if TYPE_CHECKING:
    import onnx

Infer = Callable[[], object]
DTYPES = {"float32": torch.float32, "float16": torch.float16}
CPU, CUDA = "cpu", "cuda"


@runtime_checkable
class Runtime(Protocol):
    """Runs networks.

    Attributes:
        packages: Whose versions its times depend on.
        devices: Kinds it runs on.
    """

    packages: tuple[str, ...]
    devices: tuple[str, ...]

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """One inference on random pixels; all that happens once happens here or in a warm-up."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How it is run.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: A key of `DTYPES`.
        batch: Images at a time.
        threads: Of the CPU.
    """

    device: str
    precision: str
    batch: int
    threads: int


class Eager:
    """torch as it is."""

    packages: tuple[str, ...] = ("torch",)
    devices: tuple[str, ...] = (CPU, CUDA)

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """The network on its device."""
        return _torch_infer(self.network(model, setting), pixels(model, setting))

    def network(self, model: Model, setting: Setting) -> Callable[[torch.Tensor], object]:
        """In evaluation mode and the setting's precision."""
        return model.network.eval().to(setting.device, DTYPES[setting.precision])


class Compiled(Eager):
    """torch.compile for one shape; compiling is not timed.

    On the CPU with the exact rewrites of `nano.export.rewrite` and weights that are frozen into the
    program, which packs them once as its convolutions want them. On a GPU its kernels are replayed
    as one CUDA graph: such small networks would wait for Python to launch them.
    """

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """As `Eager.prepare`; on the CPU the compiler runs here, where weights are frozen."""
        infer = super().prepare(model, setting)
        if setting.device == CPU:
            from torch._inductor import config as inductor

            with inductor.patch(freezing=True):
                infer()
        return infer

    def network(self, model: Model, setting: Setting) -> Callable[[torch.Tensor], object]:
        """Compiled at its first call."""
        network = model.network.eval()
        if setting.device == CPU:
            network = rewritten(network)
        mode = "reduce-overhead" if setting.device == CUDA else "default"
        moved = network.to(setting.device, DTYPES[setting.precision])
        return torch.compile(moved, dynamic=False, mode=mode)


class Native:
    """The kernels of `nano.export.native`: DepthNets on the CPU, in float32, on one thread."""

    packages: tuple[str, ...] = ("torch",)
    devices: tuple[str, ...] = (CPU,)

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """The kernels are compiled here."""
        return _torch_infer(native.Native(model.network), pixels(model, setting))


class OnnxRuntime:
    """ONNX Runtime on the file that `nano.export` writes, with its exact rewrites."""

    packages: tuple[str, ...] = ("onnxruntime", "onnx")
    devices: tuple[str, ...] = (CPU, CUDA)

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """A session whose input and output stay on the device."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        provider = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider"}[setting.device]
        if provider not in onnxruntime.get_available_providers():
            raise MissingPackage(
                f"this onnxruntime does not run on {setting.device}: pip install onnxruntime-gpu"
            )
        session = onnxruntime.InferenceSession(
            _onnx(model, setting).SerializeToString(), options, providers=[provider]
        )
        if provider not in session.get_providers():  # it falls back with a warning only
            raise InputError(f"onnxruntime could not set up {provider}")
        image = pixels(model, setting).cpu().numpy()
        binding = session.io_binding()
        value = onnxruntime.OrtValue.ortvalue_from_numpy(image, setting.device, 0)
        binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
        binding.bind_output(session.get_outputs()[0].name, setting.device)
        return _bound(session, binding)


class TensorRt:
    """TensorRT's Python runtime: an engine built here from the file that `nano.export` writes.

    The engine is built anew in every process: which kernels it takes is found by timing them, so
    the spread over processes holds that too.
    """

    packages: tuple[str, ...] = ("tensorrt", "onnx")
    devices: tuple[str, ...] = (CUDA,)

    def prepare(self, model: Model, setting: Setting) -> Infer:
        """An engine with its buffers in torch's memory."""
        import tensorrt

        log = tensorrt.Logger(tensorrt.Logger.ERROR)
        builder = tensorrt.Builder(log)
        # Strongly typed: the precision is the file's own, as TensorRT 11 has it anyway.
        strongly = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strongly)
        parser = tensorrt.OnnxParser(network, log)
        if not parser.parse(_onnx(model, setting).SerializeToString()):
            raise InputError(f"TensorRT cannot read the network: {parser.get_error(0).desc()}")
        built = builder.build_serialized_network(network, builder.create_builder_config())
        if built is None:
            raise InputError("TensorRT could not build an engine for this network")
        engine = tensorrt.Runtime(log).deserialize_cuda_engine(built)
        context = engine.create_execution_context()
        names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
        image = pixels(model, setting)
        buffers = {
            name: image
            if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
            else torch.empty(tuple(engine.get_tensor_shape(name)), device=CUDA, dtype=image.dtype)
            for name in names
        }
        for name, buffer in buffers.items():
            context.set_tensor_address(name, buffer.data_ptr())
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]

        def infer() -> object:
            context.execute_async_v3(stream.cuda_stream)
            stream.synchronize()
            return buffers

        return infer


RUNTIMES: dict[str, Runtime] = {
    "eager": Eager(),
    "compile": Compiled(),
    "native": Native(),
    "onnxruntime": OnnxRuntime(),
    "tensorrt": TensorRt(),
}


def check(runtime: str, setting: Setting) -> None:
    """Whether this installation could run it at all.

    Raises:
        InputError: The runtime has no such device, precision or threads, or torch sees no device.
        MissingPackage: A package of the runtime is not installed.
    """
    chosen = RUNTIMES[runtime]
    if setting.device not in chosen.devices:
        raise InputError(f"runtime {runtime} runs on {' and '.join(chosen.devices)} only")
    if setting.device == CUDA and not torch.cuda.is_available():
        raise InputError("device cuda: torch sees no CUDA device here; use cpu")
    if runtime == "native" and (setting.precision, setting.threads) != ("float32", 1):
        came = f"precision {setting.precision}, threads {setting.threads}"
        raise InputError(f"runtime native knows precision float32, threads 1 only, not {came}")
    compiler = os.environ.get("CXX", "g++")  # as torch.compile looks for it
    compiles = runtime in ("compile", "native") and setting.device == CPU
    if compiles and shutil.which(compiler) is None:
        raise InputError(f"runtime {runtime} needs a C++ compiler, and {compiler} is not installed")
    for package in chosen.packages:
        if find_spec(package) is None:
            how = {"tensorrt": "pip install tensorrt"}.get(
                package, "pip install 'depthnet-nano[export]'"
            )
            raise MissingPackage(f"runtime {runtime} needs {package}: {how}")


def runtime_versions(runtime: str) -> dict[str, str]:
    """Of the packages that its times depend on."""
    found = {}
    for package in RUNTIMES[runtime].packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the same module comes in packages of other names
            found[package] = str(getattr(__import__(package), "__version__", "unknown"))
    return found


def pixels(model: Model, setting: Setting) -> torch.Tensor:
    """B x 3 x H x W of fixed noise on the device: times do not depend on what is seen."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((setting.batch, 3, *model.size), generator=generator)
    return image.to(setting.device, DTYPES[setting.precision])


def _torch_infer(network: Callable[[torch.Tensor], object], image: torch.Tensor) -> Infer:
    synchronise = torch.cuda.synchronize if image.is_cuda else _nothing

    @torch.inference_mode()
    def infer() -> object:
        output = network(image)
        synchronise()
        return output

    return infer


def _nothing() -> None:
    """On the CPU a result is there when the call returns."""


def _bound(session: Any, binding: Any) -> Infer:
    def infer() -> object:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding

    return infer


def _onnx(model: Model, setting: Setting) -> onnx.ModelProto:
    from nano.export.onnx import Form, to_onnx

    return to_onnx(model, Form(precision=setting.precision, batch=setting.batch))
