# The tests of operations, core, modules and optimisers once more with the CUDA backend as the default, and its own
# (tests/cuda): compiled by nvcc for a GPU, or by g++ to run under emulation.

set(cuda_test_sources ${test_sources})
list(FILTER cuda_test_sources INCLUDE REGEX "/tests/(ops|core|nn|optim)/")
# These are about the CPU alone: its threads, its allocator, types without a backend.
list(FILTER cuda_test_sources EXCLUDE REGEX "/(dtype|math|profile|random|shape|schedule|data_parallel|recompute)_test")
# These look at memory as the CPU does, or expect exceptions before the host has waited for the device.
list(FILTER cuda_test_sources EXCLUDE REGEX
  "/(core/autograd|core/tensor|nn/mixed_precision|ops/attention|ops/cross_entropy|ops/embedding|optim/adamw|optim/clip|optim/grad_scaler)_test")
file(GLOB own_cuda_test_sources CONFIGURE_DEPENDS cuda/*_test.cpp)
list(APPEND cuda_test_sources ${own_cuda_test_sources})

# add_cuda_tests(<executable> <label>): one test for each file, as in tests/CMakeLists.txt.
function(add_cuda_tests executable label)
  foreach(source IN LISTS cuda_test_sources)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    string(REPLACE "_test.cpp" "" suite ${path})
    string(REPLACE "/" "." name ${suite})
    if(label STREQUAL cuda_chk AND name STREQUAL cuda.attention)
      continue()  # the checker takes readers before a __syncwarp for racing
    endif()
    add_test(NAME ${label}.${name} COMMAND ${executable} --run_test=${suite})
    set_tests_properties(${label}.${name} PROPERTIES TIMEOUT 300 LABELS ${label} SKIP_RETURN_CODE 77
                                                     ENVIRONMENT "CRIA_CUDA_PASS_THROUGH=1")
  endforeach()
endfunction()

if(CRIA_CUDA STREQUAL EMULATION)
  add_subdirectory(cuda_emulation)
  foreach(flavour plain chk)
    if(NOT TARGET cuda_emulation_${flavour})
      continue()
    endif()
    set(executable cria_cuda_tests_${flavour})
    add_executable(${executable} cuda/main.cpp ${cuda_test_sources})
    target_include_directories(${executable} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${executable} PRIVATE
      cuda_emulation_${flavour} cria_warnings cria::io Boost::unit_test_framework)
    target_compile_definitions(${executable} PRIVATE
      CRIA_CUDA CRIA_DEFAULT_BACKEND_CUDA BOOST_TEST_DYN_LINK CRIA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    target_compile_options(${executable} PRIVATE -O1)
  endforeach()
  add_cuda_tests(cria_cuda_tests_plain cuda)
  if(TARGET cria_cuda_tests_chk)
    add_cuda_tests(cria_cuda_tests_chk cuda_chk)
  endif()
endif()
