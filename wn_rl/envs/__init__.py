"""Games: ALE's vector environment under our contract, evaluation protocols, toy environments, rendering.

Every environment here keeps the contract of ``wn_rl.types.VectorEnvironment``. Nothing is imported by this
file, so that asking for an unknown game fails before torch or the emulator is loaded.
"""
