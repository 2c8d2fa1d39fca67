# Training on several processes, started by mpirun.

if(TARGET cria::mpi)
  add_executable(mpi_program dist/mpi_program.cpp)
  target_include_directories(mpi_program PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(mpi_program PRIVATE cria::mpi cria_operators cria_kernels cria_build_options cria_without_optimisation)
  add_test(NAME dist.mpi COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:mpi_program>
           -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/mpi.cmake)
  add_test(NAME dist.pretrain_llama COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:pretrain_llama>
           -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/processes -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/pretrain_llama.cmake)
  foreach(name faults hosts)
    add_test(NAME dist.${name} COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:pretrain_llama>
             -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/${name} -Dscript=${CMAKE_CURRENT_SOURCE_DIR}/dist/${name}.sh
             -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/script.cmake)
  endforeach()
else()
  foreach(name mpi pretrain_llama faults hosts)
    add_test(NAME dist.${name} COMMAND sh -c "echo 'skipped: there is no MPI'; exit 77")
  endforeach()
endif()
set_tests_properties(dist.mpi dist.pretrain_llama dist.faults dist.hosts PROPERTIES
  TIMEOUT 600 SKIP_RETURN_CODE 77 SKIP_REGULAR_EXPRESSION "skipped: ")
# Processes that wait for each other are ten times as slow where another test has a core.
set_tests_properties(dist.pretrain_llama dist.faults dist.hosts PROPERTIES RUN_SERIAL ON)
