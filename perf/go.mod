// perf/CMakeLists.txt builds with a copy of this file that names the language version of the Go in use.
module heddle.perf

go 1.19
