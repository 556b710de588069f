"""What a batch scheduler put into the environment, and nothing that it cannot have put there."""

from __future__ import annotations

import pytest

from cryoflux.energy.jobs import Job, job_here


def test_a_job_of_slurm_is_known_by_its_environment():
    said = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "4294967291", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    assert job_here(said) == Job("slurm", 4711, 4294967291, 3, 1)
    assert job_here({"SLURM_JOB_ID": "4711"}) == Job("slurm", 4711)
    assert job_here({"SLURM_STEP_ID": "0"}) is None


@pytest.mark.parametrize("odd", ["", "-1", "4_7", "4711\n", "٣", "9" * 5000, "4294967296", "job"])
def test_what_is_no_number_is_not_taken_for_one(odd):
    assert job_here({"SLURM_JOB_ID": odd}) is None
    assert job_here({"SLURM_JOB_ID": "1", "SLURM_PROCID": odd}) == Job("slurm", 1)
