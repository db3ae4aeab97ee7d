#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cppcheck finds nothing.
# timeout: 300
set -eu
cd "$SRC"
command -v cppcheck >/dev/null || { echo "needs cppcheck"; exit 77; }
mkdir -p "$BUILD/cppcheck"

# A library's macros that look like loops.
cat >"$BUILD/cppcheck/jansson.cfg" <<'CFG'
<?xml version="1.0"?>
<def format="2">
  <define name="json_array_foreach(array,index,item)" value="for(index=0;(item=json_array_get(array,index));index++)"/>
  <define name="json_object_foreach(object,key,value)" value="for(key=0;(value=json_object_get(object,key));key++)"/>
</def>
CFG
# ctuuninitvar takes an argument that the callee fills for an uninitialized one.
cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --max-configs=4 \
	--enable=warning,performance,portability --cppcheck-build-dir="$BUILD/cppcheck" \
	--suppress=missingIncludeSystem --suppress=unmatchedSuppression --suppress=ctuuninitvar \
	--library="$BUILD/cppcheck/jansson.cfg" \
	-I. -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DDST_VERSION_TEXT='"0"' \
	common dstfs server dstctl test/tools
