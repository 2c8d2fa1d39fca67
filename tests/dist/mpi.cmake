# A run has the same bits on any number of processes. -Dmpirun=, -Dprogram=

cmake_minimum_required(VERSION 3.25)

include(${CMAKE_CURRENT_LIST_DIR}/open_mpi.cmake)
if(NOT mpirun_status EQUAL 0)
  return()
endif()

execute_process(COMMAND ${program} alone RESULT_VARIABLE status OUTPUT_VARIABLE alone ERROR_VARIABLE errors)
string(LENGTH "${alone}" length)
if(NOT status EQUAL 0 OR length LESS 1000)
  message(FATAL_ERROR "alone: ${status}\n${alone}${errors}")
endif()
foreach(processes 1 2 4)
  execute_process(COMMAND ${mpirun} -n ${processes} ${program}
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors TIMEOUT 120)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${processes} processes: ${status}\n${output}${errors}")
  endif()
  if(NOT output STREQUAL alone)
    message(FATAL_ERROR "${processes} processes give\n${output}\nand one alone\n${alone}")
  endif()
endforeach()
execute_process(COMMAND ${mpirun} -n 3 ${program} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors TIMEOUT 120)
if(status EQUAL 0 OR NOT errors MATCHES "error: there are 3 processes; their number must be a power of two")
  message(FATAL_ERROR "3 processes: ${status}\n${output}${errors}")
endif()
message(STATUS "1, 2 and 4 processes give the same bits, and 3 are refused")
