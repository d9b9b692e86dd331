import os

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["01_one_batch", "02_four_injection_modes", "03_run_a_computer", "04_extend_it"])
def test_a_notebook_runs(name, trained, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    out = tmp_path / ("rollout.mp4" if name.startswith("03") else "out")
    for key, value in {"WORKDIR": trained, "OUT": out, "XLA_FLAGS": one}.items():
        monkeypatch.setenv(key, os.fspath(value))
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    if name.startswith("03"):
        assert out.stat().st_size
