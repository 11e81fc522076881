"""The command line: results on stdout, errors on one line with what exists, exit 2 before work and 1 for failures."""

import json
import subprocess
import sys

import pytest

from curation import cli, job
from curation.stages import STAGES


def _curate(capfd, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    out, err = capfd.readouterr()
    return stopped.value.code, out, err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "no ['rnu']"),
        (["run", "ful", "POOL", "OUT"], "no recipe ['ful']; known: ['"),
        (["run", "full", "POOL", "OUT", "--sett", "x"], "known flags: --set, --store"),
        (["run", "full"], "required: POOL, OUT"),
        (["run", "metaclip", "P", "O", "--set", "inputs.metdata=/etc/hosts"], "[inputs]: no input ['metdata']; known"),
        (["run", "metaclip", "no/pool", "OUT"], "no pool at "),
        (["stages", "nothing"], "no stage ['nothing']; known: ['balance_entries'"),
        (["train", "no/release", "--scale", "gigantic", "--out", "RUN"], "gigantic"),
    ],
)
def test_wrong_arguments_exit_2_and_say_what_exists(capfd, arguments, says):
    code, out, err = _curate(capfd, *arguments)
    assert code == 2 and out == ""
    assert says.replace("no ['rnu']", "['rnu']") in err
    assert "Traceback" not in err


def test_a_failure_exits_1_on_one_line(capfd):
    code, out, err = _curate(capfd, "verify", "no/such/release")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "no release at no/such/release" in err


def test_the_result_is_one_json_line(capfd, release):
    code, out, _ = _curate(capfd, "verify", release)
    assert code == 0 and out.count("\n") == 1
    assert json.loads(out)["faults"] == 0


def test_help_lists_every_command_without_loading_torch_or_spark():
    script = "import sys\nfrom curation import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    script += "print('torch' in sys.modules, 'pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS)


def test_a_stage_is_a_job_with_its_tables_and_settings_as_flags(capfd, pool, spark):
    with pytest.raises(SystemExit) as stopped:
        job.main(STAGES["match_entries"], ["--pairs", pool])
    matched = json.loads(capfd.readouterr().out)
    assert stopped.value.code == 0 and matched["rows"] == 26
    flags = ["--pairs", matched["table"], "--entry-counts", f"{matched['table']}/entry_counts", "--t", "1"]
    with pytest.raises(SystemExit):
        job.main(STAGES["balance_entries"], flags)
    balanced = json.loads(capfd.readouterr().out)
    assert balanced["rows"] == matched["kept"] > balanced["kept"]


def test_a_repeated_flag_replaces_the_default():
    def asked(*, names: list[str] = ("a", "b"), other: list[str] | None = None) -> None:
        return [names, other]

    parser = job.parser_for(asked, "asked")
    assert job.call(asked, parser.parse_args(["--names", "c", "--names", "d"])) == [["c", "d"], None]
    assert job.call(asked, parser.parse_args(["--other", "c"])) == [("a", "b"), ["c"]]


def test_secrets_do_not_reach_the_error_line(capfd):
    _, _, err = _curate(capfd, "verify", "memory://key:secret@bucket/out")
    assert "key:" not in err and "memory://bucket/out" in err
