"""ISO 4217: the currency codes active in January 2026, those withdrawn since 2000, the digits of their minor units."""

from __future__ import annotations

from typing import Final

_ACTIVE: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF
CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG
"""
_WITHDRAWN: Final = """
ANG ATS BEF BGN BYR CUC CYP DEM EEK ESP FIM FRF GHC GRD HRK IEP ITL LTL LUF LVL MRO MTL MZM NLG PTE ROL SDD SIT SKK SLL
SRG STD TMM TRL VEB VEF XEU ZMK ZWD ZWL
"""

ISO_4217: Final = frozenset(_ACTIVE.split())
WITHDRAWN: Final = frozenset(_WITHDRAWN.split())
MINOR_UNITS_QUOTED: Final = frozenset({"GBX", "ILA", "ZAC"})
"""Pence, agorot and cents: codes outside of ISO 4217 that venues price securities in."""
METALS: Final = frozenset({"XAG", "XAU", "XPD", "XPT"})

_NO_MINOR_UNIT: Final = frozenset("XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split())  # noqa: SIM905
_DIGITS: Final = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),  # noqa: SIM905
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905
    **dict.fromkeys("CLF UYW".split(), 4),  # noqa: SIM905
}


def minor_units(code: str) -> int | None:
    """Digits after the point of an active ISO 4217 currency; None for metals, units of account and unknown codes."""
    if code not in ISO_4217 or code in _NO_MINOR_UNIT:
        return None
    return _DIGITS.get(code, 2)
