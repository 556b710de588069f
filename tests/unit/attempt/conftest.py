from small_runs import no_power_cuts, run, small

__all__ = ["no_power_cuts", "run", "small"]
