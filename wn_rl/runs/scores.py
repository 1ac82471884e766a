"""How good a return is by the measure of the literature: 0 is random play, 1 a human tester.

The table holds the random and human returns that papers since Mnih et al. 2015 normalize by (no-op starts;
57 games), in the form in which DeepMind's DQN Zoo publishes it.
"""

from typing import NamedTuple

MIN_INTERVAL_GAMES = 5
"""Of fewer games no interval of the mean is shown: a bootstrap of two equal games has width 0, and one of three is just
their least and greatest, since every 27th resample is three times the least (n^-n, against the 2.5 % of each side)."""


class ReferenceReturns(NamedTuple):
    """Mean raw returns of random play and of a professional human tester on one game."""

    random: float
    human: float


REFERENCE_RETURNS: dict[str, ReferenceReturns] = {
    "Alien": ReferenceReturns(227.8, 7127.7),
    "Amidar": ReferenceReturns(5.8, 1719.5),
    "Assault": ReferenceReturns(222.4, 742.0),
    "Asterix": ReferenceReturns(210.0, 8503.3),
    "Asteroids": ReferenceReturns(719.1, 47388.7),
    "Atlantis": ReferenceReturns(12850.0, 29028.1),
    "BankHeist": ReferenceReturns(14.2, 753.1),
    "BattleZone": ReferenceReturns(2360.0, 37187.5),
    "BeamRider": ReferenceReturns(363.9, 16926.5),
    "Berzerk": ReferenceReturns(123.7, 2630.4),
    "Bowling": ReferenceReturns(23.1, 160.7),
    "Boxing": ReferenceReturns(0.1, 12.1),
    "Breakout": ReferenceReturns(1.7, 30.5),
    "Centipede": ReferenceReturns(2090.9, 12017.0),
    "ChopperCommand": ReferenceReturns(811.0, 7387.8),
    "CrazyClimber": ReferenceReturns(10780.5, 35829.4),
    "Defender": ReferenceReturns(2874.5, 18688.9),
    "DemonAttack": ReferenceReturns(152.1, 1971.0),
    "DoubleDunk": ReferenceReturns(-18.6, -16.4),
    "Enduro": ReferenceReturns(0.0, 860.5),
    "FishingDerby": ReferenceReturns(-91.7, -38.7),
    "Freeway": ReferenceReturns(0.0, 29.6),
    "Frostbite": ReferenceReturns(65.2, 4334.7),
    "Gopher": ReferenceReturns(257.6, 2412.5),
    "Gravitar": ReferenceReturns(173.0, 3351.4),
    "Hero": ReferenceReturns(1027.0, 30826.4),
    "IceHockey": ReferenceReturns(-11.2, 0.9),
    "Jamesbond": ReferenceReturns(29.0, 302.8),
    "Kangaroo": ReferenceReturns(52.0, 3035.0),
    "Krull": ReferenceReturns(1598.0, 2665.5),
    "KungFuMaster": ReferenceReturns(258.5, 22736.3),
    "MontezumaRevenge": ReferenceReturns(0.0, 4753.3),
    "MsPacman": ReferenceReturns(307.3, 6951.6),
    "NameThisGame": ReferenceReturns(2292.3, 8049.0),
    "Phoenix": ReferenceReturns(761.4, 7242.6),
    "Pitfall": ReferenceReturns(-229.4, 6463.7),
    "Pong": ReferenceReturns(-20.7, 14.6),
    "PrivateEye": ReferenceReturns(24.9, 69571.3),
    "Qbert": ReferenceReturns(163.9, 13455.0),
    "Riverraid": ReferenceReturns(1338.5, 17118.0),
    "RoadRunner": ReferenceReturns(11.5, 7845.0),
    "Robotank": ReferenceReturns(2.2, 11.9),
    "Seaquest": ReferenceReturns(68.4, 42054.7),
    "Skiing": ReferenceReturns(-17098.1, -4336.9),
    "Solaris": ReferenceReturns(1236.3, 12326.7),
    "SpaceInvaders": ReferenceReturns(148.0, 1668.7),
    "StarGunner": ReferenceReturns(664.0, 10250.0),
    "Surround": ReferenceReturns(-10.0, 6.5),
    "Tennis": ReferenceReturns(-23.8, -8.3),
    "TimePilot": ReferenceReturns(3568.0, 5229.2),
    "Tutankham": ReferenceReturns(11.4, 167.6),
    "UpNDown": ReferenceReturns(533.4, 11693.2),
    "Venture": ReferenceReturns(0.0, 1187.5),
    "VideoPinball": ReferenceReturns(16256.9, 17667.9),
    "WizardOfWor": ReferenceReturns(563.5, 4756.5),
    "YarsRevenge": ReferenceReturns(3092.9, 54576.9),
    "Zaxxon": ReferenceReturns(32.5, 9173.3),
}


def compute_human_normalized_score(game: str, mean_return: float) -> float | None:
    """(return - random) / (human - random), as a fraction: 1.0 is the human tester.

    None where the literature has no human score for the game.
    """
    reference = REFERENCE_RETURNS.get(game)
    if reference is None:
        return None
    return (mean_return - reference.random) / (reference.human - reference.random)
