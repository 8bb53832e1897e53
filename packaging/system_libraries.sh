#!/bin/sh
# Load each system library that Qt needs, and install those that do not load.
#
#   packaging/system_libraries.sh FOLDER
#
# Packages that are missing are installed by apt-get or dnf, as root or with a sudo that asks for no password. A library
# that is installed and still does not load (an empty file, or a file that another one is mounted on, which dpkg cannot
# replace) is unpacked into FOLDER; the Makefile puts FOLDER first on LD_LIBRARY_PATH. Exit 2 with one sentence otherwise.
set -eu

# soname, Debian package: the NEEDED entries of libQt6Gui, libQt6DBus, libQt6XcbQpa and the xcb plugins of PySide6 6.11.
LIBRARIES='
libglib-2.0.so.0       libglib2.0-0
libgthread-2.0.so.0    libglib2.0-0
libz.so.1              zlib1g
libzstd.so.1           libzstd1
libEGL.so.1            libegl1
libGL.so.1             libgl1
libfontconfig.so.1     libfontconfig1
libfreetype.so.6       libfreetype6
libdbus-1.so.3         libdbus-1-3
libX11.so.6            libx11-6
libX11-xcb.so.1        libx11-xcb1
libxkbcommon.so.0      libxkbcommon0
libxkbcommon-x11.so.0  libxkbcommon-x11-0
libxcb.so.1            libxcb1
libxcb-cursor.so.0     libxcb-cursor0
libxcb-glx.so.0        libxcb-glx0
libxcb-icccm.so.4      libxcb-icccm4
libxcb-image.so.0      libxcb-image0
libxcb-keysyms.so.1    libxcb-keysyms1
libxcb-randr.so.0      libxcb-randr0
libxcb-render.so.0     libxcb-render0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0      libxcb-shape0
libxcb-shm.so.0        libxcb-shm0
libxcb-sync.so.1       libxcb-sync1
libxcb-util.so.1       libxcb-util1
libxcb-xfixes.so.0     libxcb-xfixes0
libxcb-xkb.so.1        libxcb-xkb1
'

[ "$(uname -s)" = Linux ] || exit 0
folder=$1
LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# Rows of the table whose library the loader refuses; it writes to stderr, or fails where a dependency is missing.
broken() {
  echo "$LIBRARIES" | while read -r library package; do
    [ -z "$library" ] || { said=$(LD_PRELOAD=$library env true 2>&1) && [ -z "$said" ]; } || echo "$library $package"
  done
}

column() { echo "$rows" | cut -d ' ' -f "$1" | sort -u | tr '\n' ' ' | sed 's/ $//'; }

refuse() {
  case $(echo "$rows" | wc -l) in
    1) more= ;;
    *) more=" and $(($(echo "$rows" | wc -l) - 1)) more of its system libraries" ;;
  esac
  echo "Qt cannot load ${rows%% *}$more: install with $1, then run make again." >&2
  exit 2
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The library files of installed Debian packages, copied to the folder; from Debian 13 on some names end with t64.
unpack() {
  work=$(mktemp -d)
  names=$(for package in $(column 2); do dpkg-query -W -f '${Package}\n' "$package" "${package}t64" 2>/dev/null || true; done)
  # shellcheck disable=SC2086
  (cd "$work" && apt-get download -qq $names >/dev/null 2>&1) || refuse "$advice"
  for archive in "$work"/*.deb; do dpkg-deb -x "$archive" "$work"; done
  mkdir -p "$folder"
  find "$work" -name '*.so.*' -path '*/lib/*' -exec cp -P {} "$folder" ';'
  rm -r "$work"
}

rows=$(broken)
[ -n "$rows" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  root=
elif sudo -n true 2>/dev/null; then
  root='sudo -n'
else
  root=none
fi

if command -v apt-get >/dev/null; then
  advice="\"sudo apt-get install --reinstall $(column 2)\""
  [ "$root" != none ] || refuse "$advice"
  echo "Installing the system libraries that Qt needs: $(column 1)" >&2
  $root apt-get update -qq >&2 || true # an old list may still do
  missing=$(for package in $(column 2); do is_installed "$package" || echo "$package"; done)
  # shellcheck disable=SC2086
  [ -z "$missing" ] || $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq \
    --no-install-recommends $missing >&2 || refuse "$advice"
  rows=$(broken)
  [ -z "$rows" ] || unpack
elif command -v dnf >/dev/null; then
  # Each rpm provides its sonames, so no names of packages are needed.
  wanted=$(for library in $(column 1); do echo "$library()(64bit)"; done)
  # shellcheck disable=SC2086
  advice="\"sudo dnf install $(printf "'%s' " $wanted | sed 's/ $//')\""
  [ "$root" != none ] || refuse "$advice"
  echo "Installing the system libraries that Qt needs: $(column 1)" >&2
  # shellcheck disable=SC2086
  $root dnf install -y -q $wanted >&2 || refuse "$advice"
else
  refuse "the package manager of this system"
fi

rows=$(broken)
[ -z "$rows" ] || refuse "$advice"
