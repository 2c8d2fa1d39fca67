# Runs a script with mpirun in the PATH. -Dmpirun=, -Dprogram=, -Dfolder=, -Dscript=

cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/open_mpi.cmake)
if(NOT mpirun_status EQUAL 0)
  return()
endif()
cmake_path(GET mpirun PARENT_PATH path)
set(ENV{PATH} "${path}:$ENV{PATH}")
execute_process(COMMAND bash ${script} ${program} ${folder} RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "status ${status}")
endif()
