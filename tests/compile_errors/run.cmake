# Compiles each case of errors.cpp, and fails unless the compiler's only error is the sentence beside it; case 0 has none.
# -Dcompiler= the compiler, -Dinclude= cria's headers, -Dfolder= for what is written: the headers, which g++ compiles once for
# all cases.

cmake_minimum_required(VERSION 3.25)

set(source ${CMAKE_CURRENT_LIST_DIR}/errors.cpp)
set(compile ${CMAKE_COMMAND} -E env LC_ALL=C ${compiler} -std=c++20 -fopenmp -Werror=unused-result -Werror=unused-value
            -I${include})
file(WRITE ${folder}/all.hpp "#include <cria/cria.hpp>\n")
if(NOT compiler MATCHES "clang")  # clang 14 breaks at writing concepts down
  execute_process(COMMAND ${compile} -x c++-header ${folder}/all.hpp -o ${folder}/all.hpp.gch COMMAND_ERROR_IS_FATAL ANY)
endif()
file(STRINGS ${source} cases REGEX "^#(el)?if CASE")
set(failures "")
foreach(line IN LISTS cases)
  if(NOT line MATCHES "CASE == ([0-9]+)( +// (.*))?$")
    message(FATAL_ERROR "${source}: '${line}' names no case")
  endif()
  set(case ${CMAKE_MATCH_1})
  set(sentence "${CMAKE_MATCH_3}")
  execute_process(COMMAND ${compile} -fsyntax-only -include ${folder}/all.hpp -DCASE=${case} ${source}
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REPLACE ";" "," output "${output}")
  string(REGEX MATCHALL "error: [^\n]*" errors "${output}")
  list(LENGTH errors count)
  string(FIND "${errors}" "${sentence}" place)
  set(expected 1)
  if(case EQUAL 0)
    set(expected 0)
  endif()
  if(NOT count EQUAL expected OR place EQUAL -1)
    string(SUBSTRING "${output}" 0 2000 output)
    list(APPEND failures "case ${case}, ${count} errors, expected '${sentence}':\n${output}\n")
  endif()
endforeach()
if(failures)
  message(FATAL_ERROR ${failures})
endif()
list(LENGTH cases count)
message(STATUS "${count} cases")
