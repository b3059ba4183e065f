#!/bin/sh
# Convert the host to the layout of an earlier version of Outport, with FORMER as the live release. Run as root; its files are in ./former.
# The names are literals on purpose, not those of the modules: hosts have them on disk.
set -eu
FORMER=$1
cd /srv/listings
live=$(basename "$(readlink live)")
systemctl stop listings-clean.timer

cp -a "releases/$live" "releases/$FORMER"
cd "releases/$FORMER"
rm -f run/gunicorn.sock .archive.tar
install -m 0640 -g listings "$OLDPWD/former/gunicorn.conf.py" gunicorn.conf.py
sed -i "s/\"release\": \"[^\"]*\"/\"release\": \"$FORMER\"/; s/\"built\": \"[^\"]*\"/\"built\": \"2026-01-31T02:15:00Z\"/" release.json
touch .built .proved
cp .set-up schema
cd ../..

cp former/listings@.service former/listings@.socket /etc/systemd/system/
systemctl daemon-reload
systemctl enable --quiet "listings@$FORMER.socket" "listings@$FORMER.service"
systemctl start "listings@$FORMER.socket" "listings@$FORMER.service"
ln -s "releases/$FORMER" .live && mv -T .live live
systemctl disable --quiet --now "listings@$live.service" "listings@$live.socket"
rm -rf previous former "releases/$live" /opt/outport/run
