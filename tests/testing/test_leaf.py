"""The test kit is a leaf: who does not test does not pay for it."""

import subprocess
import sys
import types

import recloser.testing


def test_importing_recloser_does_not_import_the_test_kit() -> None:
    probe = "import sys, recloser; sys.exit('recloser.testing' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_everything_public_is_named_and_documented() -> None:
    public = {name: value for name, value in vars(recloser.testing).items() if not name.startswith("_")}
    names = {name for name, value in public.items() if not isinstance(value, types.ModuleType)}
    assert names == set(recloser.testing.__all__)
    assert all(getattr(recloser.testing, name).__doc__ for name in names)


def test_the_test_kit_works_without_pytest() -> None:
    probe = "import sys, recloser.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)
