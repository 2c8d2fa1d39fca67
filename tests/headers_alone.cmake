# Reads each header by itself, and fails for one that needs what it does not include.
# -Dcompiler= the compiler, -Dinclude= cria's headers, -Deigen= Eigen's, -Dheaders= the list,
# -Dparts= into how many it is divided, -Dpart= which of them, from 0.

cmake_minimum_required(VERSION 3.25)

set(failures "")
set(index 0)
set(count 0)
foreach(header IN LISTS headers)
  math(EXPR its_part "${index} % ${parts}")
  math(EXPR index "${index} + 1")
  if(NOT its_part EQUAL part)
    continue()
  endif()
  math(EXPR count "${count} + 1")
  execute_process(COMMAND ${compiler} -std=c++20 -fopenmp -fsyntax-only -I${include} -isystem ${eigen}
                          -include ${header} -x c++ /dev/null
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(SUBSTRING "${output}" 0 2000 output)
    list(APPEND failures "${header}:\n${output}\n")
  endif()
endforeach()
if(count EQUAL 0)
  message(FATAL_ERROR "no header was given")
endif()
if(failures)
  message(FATAL_ERROR ${failures})
endif()
message(STATUS "${count} headers compile alone")
