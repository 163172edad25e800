"""The steps of action.yml, run as GitHub would run them: shell scripts with an environment and files to write to."""

import os
import re
import subprocess

import pytest
import yaml

from conformance.paths import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
QUICKLY = {"backend": "witness", "suite": "get_sse", "runtime": "process", "quick": "true"}

pytestmark = [pytest.mark.packages, pytest.mark.timeout(600)]


def step(name):
    return next(item for item in ACTION["runs"]["steps"] if item["name"] == name)


class Job:
    """What GitHub keeps for a job: its folders, and the files that steps write their outputs and summaries to."""

    def __init__(self, folder, **inputs):
        assert inputs.keys() <= ACTION["inputs"].keys()
        self.folder = folder
        self.inputs = {name: str(given.get("default", "")) for name, given in ACTION["inputs"].items()} | inputs
        self.output, self.summary = folder / "output", folder / "summary"

    def evaluated(self, text):
        values = {f"inputs.{name}": value for name, value in self.inputs.items()} | {"github.action_path": str(ROOT)}
        return re.sub(r"\$\{\{ *([a-z._-]+) *\}\}", lambda match: values[match.group(1)], text)

    def run(self, name, temp):
        item = step(name)
        assert "${{" not in item["run"], "an expression in a script is a way in for whoever writes the input"
        given = {variable: self.evaluated(value) for variable, value in item["env"].items()}
        github = {
            "RUNNER_TEMP": str(temp),
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", item["run"]],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **github, **given},
        )

    def outputs(self):
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture(scope="module")
def temp(tmp_path_factory):
    """A runner's folder where the action's first step has been run."""
    folder = tmp_path_factory.mktemp("runner")
    done = Job(folder).run("Install", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_conforming_gateway_passes(tmp_path, temp):
    job = Job(tmp_path, target="passthrough", **QUICKLY)
    done = job.run("Judge", temp)
    assert done.returncode == 0, done.stdout + done.stderr
    assert job.outputs() == {"verdict": "passed", "report": "conformance-report", "badge": ""}
    assert "get_sse" in job.summary.read_text()
    assert (tmp_path / "conformance-report" / "report.jsonl").is_file()
    assert "::error" not in done.stdout


def test_a_faulty_one_fails_the_job_and_is_annotated(tmp_path, temp):
    job = Job(tmp_path, target="mutant:get_answers_400", **QUICKLY)
    done = job.run("Judge", temp)
    assert done.returncode == 1
    assert job.outputs()["verdict"] == "failed"
    assert "::error title=mutant%3Aget_answers_400" in done.stdout
    assert "get-sse-wrong-status" in job.summary.read_text()


def test_a_mistake_says_so_and_words_of_an_input_are_no_commands(tmp_path, temp):
    job = Job(tmp_path, target="$(touch ran); `touch ran`.toml", **QUICKLY)
    done = job.run("Judge", temp)
    assert done.returncode == 4
    assert job.outputs()["verdict"] == "usage-error"
    assert "does not exist" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_header_of_a_running_gateway_is_named_by_its_variable(tmp_path, temp):
    job = Job(tmp_path, url="http://127.0.0.1:9/mcp", **{"header-env": "Authorization=NOT_SET_HERE"})
    done = job.run("Judge", temp)
    assert job.outputs()["verdict"] == "usage-error"
    assert "--header-env Authorization" in done.stderr


def test_the_outputs_are_those_that_the_steps_write():
    assert {name: given["value"] for name, given in ACTION["outputs"].items()} == {
        name: f"${{{{ steps.judge.outputs.{name} }}}}" for name in ("verdict", "badge", "report")
    }
    assert step("Judge")["id"] == "judge"


def test_the_reports_are_uploaded_also_when_the_gateway_fails():
    upload = step("Upload the reports")
    assert upload["if"].removeprefix("${{ ").startswith("always()")
    assert upload["with"]["path"] == "${{ inputs.report }}"
