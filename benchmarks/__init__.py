"""`make bench`: every stage of a change beside its floor and the peers, alternating in one run."""
