# Training on several processes, started by mpirun; on emulated GPUs as well.

if(TARGET cria::mpi)
  add_executable(mpi_program dist/mpi_program.cpp)
  target_include_directories(mpi_program PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(mpi_program PRIVATE cria::mpi cria_operators cria_kernels cria_build_options cria_without_optimisation)
  add_test(NAME dist.mpi COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:mpi_program>
           -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/mpi.cmake)
  add_test(NAME dist.pretrain_llama COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:pretrain_llama>
           -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/processes -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/pretrain_llama.cmake)
  if(CRIA_CUDA STREQUAL EMULATION)
    add_executable(nccl_program dist/nccl_program.cpp)
    target_include_directories(nccl_program PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(nccl_program PRIVATE cuda_operators_plain cuda_kernels_plain cria::mpi cria_operators cria_kernels
      cria_build_options cria_without_optimisation)
    add_test(NAME dist.nccl COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:nccl_program>
             -Dpretrain_llama=$<TARGET_FILE:pretrain_llama_emulated> -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/gpus
             -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/nccl.cmake)
  endif()
  foreach(name faults hosts)
    add_test(NAME dist.${name} COMMAND ${CMAKE_COMMAND} -Dmpirun=${MPIEXEC_EXECUTABLE} -Dprogram=$<TARGET_FILE:pretrain_llama>
             -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/${name} -Dscript=${CMAKE_CURRENT_SOURCE_DIR}/dist/${name}.sh
             -P ${CMAKE_CURRENT_SOURCE_DIR}/dist/script.cmake)
  endforeach()
else()
  foreach(name mpi pretrain_llama nccl faults hosts)
    add_test(NAME dist.${name} COMMAND sh -c "echo 'skipped: there is no MPI'; exit 77")
  endforeach()
endif()
set(serial_tests dist.pretrain_llama dist.faults dist.hosts)
if(TEST dist.nccl)
  list(APPEND serial_tests dist.nccl)
endif()
set_tests_properties(dist.mpi ${serial_tests} PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77 SKIP_REGULAR_EXPRESSION "skipped: ")
# Processes that wait for each other are ten times as slow where another test has a core.
set_tests_properties(${serial_tests} PROPERTIES RUN_SERIAL ON)
