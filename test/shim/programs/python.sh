# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Python's own tests, with every object from malloc instead of from Python's own pools.
# The tests of the Python that is there: without one it is python3 that is missing first.
packages="python3$(python3 -c 'import sys; print(" libpython%d.%d-testsuite" % sys.version_info[:2])' 2>/dev/null || true)"
processes='python3'

work() {
  local tests='test_dict test_list test_json test_gc test_set' test
  [[ -n $quick ]] || tests+=' test_io test_threading test_threadedtempfile test_re test_pickle test_zlib test_thread'
  for test in $tests; do
    if PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 python3 -m test "$test" >log 2>&1; then
      echo "$test passed"
    else
      tail -n 30 log >&2
      echo "$test failed"
    fi
  done
  rm log
}
