# Training on several processes, started by mpirun.

if(TARGET cria::mpi)
  add_executable(mpi_program dist/mpi_program.cpp)
  target_include_directories(mpi_program PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(mpi_program PRIVATE cria::mpi cria_operators cria_kernels cria_build_options cria_without_optimisation)
  add_test(NAME dist.mpi COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:mpi_program>
           -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/mpi.cmake)
else()
  add_test(NAME dist.mpi COMMAND sh -c "echo 'skipped: there is no MPI'; exit 77")
endif()
set_tests_properties(dist.mpi PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77)
