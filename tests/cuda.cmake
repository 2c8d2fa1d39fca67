# The tests of operations, core, modules and optimisers once more with the CUDA backend as the default, and its own
# (tests/cuda): compiled by nvcc for a GPU, or by g++ to run under emulation.

set(cuda_test_sources ${test_sources})
list(FILTER cuda_test_sources INCLUDE REGEX "/tests/(ops|core|nn|optim)/")
# These are about the CPU alone: its threads, its allocator, types without a backend.
list(FILTER cuda_test_sources EXCLUDE REGEX "/(dtype|math|profile|random|shape|schedule|data_parallel|recompute)_test")
file(GLOB own_cuda_test_sources CONFIGURE_DEPENDS cuda/*_test.cpp)
list(APPEND cuda_test_sources ${own_cuda_test_sources})

# add_cuda_tests(<executable> <label> <source>...): one test for each file, as in tests/CMakeLists.txt.
function(add_cuda_tests executable label)
  foreach(source IN LISTS ARGN)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    string(REPLACE "_test.cpp" "" suite ${path})
    string(REPLACE "/" "." name ${suite})
    add_test(NAME ${label}.${name} COMMAND ${executable} --run_test=${suite} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${label}.${name} PROPERTIES TIMEOUT 300 LABELS ${label} SKIP_RETURN_CODE 77
                                                     ENVIRONMENT "CRIA_CUDA_PASS_THROUGH=1")
  endforeach()
endfunction()

# add_emulated_cuda_tests(<flavour> <label> <source>...)
function(add_emulated_cuda_tests flavour label)
  set(executable cria_cuda_tests_${flavour})
  add_executable(${executable} cuda/main.cpp ${ARGN})
  target_include_directories(${executable} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${executable} PRIVATE
    cuda_emulation_${flavour} cria_warnings cria::io Boost::unit_test_framework)
  target_compile_definitions(${executable} PRIVATE
    CRIA_CUDA CRIA_DEFAULT_BACKEND_CUDA BOOST_TEST_DYN_LINK CRIA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${executable} PRIVATE -O1)
  add_cuda_tests(${executable} ${label} ${ARGN})
endfunction()

if(CRIA_CUDA STREQUAL EMULATION)
  add_subdirectory(cuda_emulation)
  add_emulated_cuda_tests(plain cuda ${cuda_test_sources})
  if(TARGET cuda_emulation_chk)
    add_emulated_cuda_tests(chk cuda_chk ${cuda_test_sources})
  endif()
  # Those whose kernels index most: the sanitizers see overruns of local and shared arrays, too, but take long to compile.
  set(asan_test_sources ${cuda_test_sources})
  list(FILTER asan_test_sources INCLUDE REGEX
    "/(ops/(attention|cross_entropy|embedding|reduce|reshape|rms_norm|rope)|optim/adamw|cuda/(attention|mma|optimizer))_test")
  add_emulated_cuda_tests(asan cuda_asan ${asan_test_sources})
endif()

# These may be carried to another machine that has a GPU, so they look for files in the folder where they are started.
if(CRIA_CUDA STREQUAL ON)
  cuda_sources(files_for_nvcc cuda/main.cpp ${cuda_test_sources})
  add_executable(cria_cuda_tests ${files_for_nvcc})
  target_include_directories(cria_cuda_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(cria_cuda_tests PRIVATE cria::cuda cria::io cria_build_options Boost::unit_test_framework)
  target_compile_definitions(cria_cuda_tests PRIVATE
    CRIA_DEFAULT_BACKEND_CUDA BOOST_TEST_DYN_LINK CRIA_SOURCE_DIR=".")
  target_compile_options(cria_cuda_tests PRIVATE --diag-suppress=3189)  # a namespace may be called module
  add_cuda_tests(cria_cuda_tests cuda ${cuda_test_sources})

  # The training program, of which nvcc compiles a part.
  add_executable(pretrain_llama_cuda_test support/main.cpp pretrain_llama/cuda_test.cpp)
  target_include_directories(pretrain_llama_cuda_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(pretrain_llama_cuda_test PRIVATE cria::io cria_build_options Boost::unit_test_framework)
  target_compile_definitions(pretrain_llama_cuda_test PRIVATE BOOST_TEST_DYN_LINK
    PRETRAIN_LLAMA="./pretrain_llama" PRETRAIN_LLAMA_CUDA="./pretrain_llama")
  add_dependencies(pretrain_llama_cuda_test pretrain_llama)
  add_test(NAME cuda.pretrain_llama COMMAND pretrain_llama_cuda_test WORKING_DIRECTORY $<TARGET_FILE_DIR:pretrain_llama>)
  set_tests_properties(cuda.pretrain_llama PROPERTIES TIMEOUT 300 LABELS cuda SKIP_REGULAR_EXPRESSION "skipped: ")
endif()

# Compiled for real devices where there is nvcc, in any build.
find_program(CRIA_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin DOC "nvcc of a CUDA toolkit, 12 or later")
if(CRIA_CUDA)
  get_target_property(eigen Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
  foreach(architecture 75 80 90 100)
    if(CRIA_NVCC)
      add_test(NAME cuda.nvcc.sm_${architecture} COMMAND ${CMAKE_COMMAND}
        -Dnvcc=${CRIA_NVCC} -Darchitecture=${architecture} -Dinclude=${PROJECT_SOURCE_DIR}/include -Deigen=${eigen}
        -Doutput=${CMAKE_CURRENT_BINARY_DIR}/kernels_sm_${architecture}.fatbin -Dsource=${CMAKE_CURRENT_SOURCE_DIR}/cuda/kernels.cu
        -P ${CMAKE_CURRENT_SOURCE_DIR}/cuda/nvcc.cmake)
    else()
      add_test(NAME cuda.nvcc.sm_${architecture} COMMAND sh -c "echo 'skipped: there is no nvcc'; exit 77")
    endif()
    set_tests_properties(cuda.nvcc.sm_${architecture} PROPERTIES TIMEOUT 600 LABELS cuda SKIP_RETURN_CODE 77)
  endforeach()
endif()

# What a pack of benchmarks/gpu.sh does on a GPU, with stand-ins for all programs.
find_package(Python3 3.11 COMPONENTS Interpreter QUIET)
if(Python3_FOUND)
  add_test(NAME cuda.gpu_pack
           COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/gpu_pack_test.py ${PROJECT_SOURCE_DIR})
else()
  add_test(NAME cuda.gpu_pack COMMAND sh -c "echo 'skipped: there is no Python 3.11'; exit 77")
endif()
set_tests_properties(cuda.gpu_pack PROPERTIES TIMEOUT 120 LABELS cuda SKIP_RETURN_CODE 77)
