# SPDX-License-Identifier: BSL-1.0
#
# Lists the parts that a build goes without because something is not installed: printed last, and written to the file
# left_out, one part a line, for test/run and perf/run.

set_property(GLOBAL PROPERTY HEDDLE_LEFT_OUT "")

# heddle_left_out(what why)
function(heddle_left_out what why)
  string(REPLACE ";" "," line "${what}: ${why}")
  set_property(GLOBAL APPEND PROPERTY HEDDLE_LEFT_OUT "${line}")
endfunction()

function(heddle_say_left_out)
  get_property(lines GLOBAL PROPERTY HEDDLE_LEFT_OUT)
  set(file "")
  foreach(line IN LISTS lines)
    message(NOTICE "heddle: left out: ${line}")
    string(APPEND file "${line}\n")
  endforeach()
  file(WRITE ${PROJECT_BINARY_DIR}/left_out "${file}")
endfunction()
