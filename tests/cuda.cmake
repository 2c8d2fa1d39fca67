# The tests of operations, core, modules and optimisers once more with the CUDA backend as the default, and its own
# (tests/cuda): compiled by nvcc for a GPU, or by g++ to run under emulation.

set(cuda_test_sources ${test_sources})
list(FILTER cuda_test_sources INCLUDE REGEX "/tests/(ops|core|nn|optim|data|train)/")
# These are about the CPU alone: its threads, its allocator, types without a backend.
list(FILTER cuda_test_sources EXCLUDE REGEX "/(activations|broadcast|create|dtype|dual|looking|map|math|operators_golden|print|profile|random|shape|threads|schedule|data_parallel|recompute|llama_costs|layers_golden)_test")
file(GLOB own_cuda_test_sources CONFIGURE_DEPENDS cuda/*_test.cpp)

# add_cuda_tests(<executable> <label> <left out> <source>...): one test for each file, as in tests/CMakeLists.txt, without the
# suites and cases that are left out.
function(add_cuda_tests executable label left_out)
  set(environment CRIA_CUDA_PASS_THROUGH=1)
  if(left_out)
    list(APPEND environment CRIA_TESTS_WITHOUT=float16)  # its kernels are bfloat16's
  endif()
  foreach(source IN LISTS ARGN)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    string(REPLACE "_test.cpp" "" suite ${path})
    if(suite IN_LIST left_out)
      continue()
    endif()
    list(TRANSFORM left_out PREPEND --run_test=! OUTPUT_VARIABLE but_not)
    string(REPLACE "/" "." name ${suite})
    add_test(NAME ${label}.${name} COMMAND ${executable} --run_test=${suite} ${but_not} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${label}.${name} PROPERTIES TIMEOUT 300 LABELS ${label} SKIP_RETURN_CODE 77
                                                     ENVIRONMENT "${environment}")
  endforeach()
endfunction()

# Those of CUDA's own that have kernels of their own.
set(tests_with_kernels ${own_cuda_test_sources})
list(FILTER tests_with_kernels INCLUDE REGEX "/cuda/(device|formulas|mma|optimizer|unaligned)_test")
set(tests_without_kernels ${cuda_test_sources} ${own_cuda_test_sources})
list(REMOVE_ITEM tests_without_kernels ${tests_with_kernels})

# add_emulated_cuda_tests(<flavour> <label> <left out> <source>...): the flavour is that of the kernels, and of the sources, which
# have kernels of their own; all other tests are compiled once.
function(add_emulated_cuda_tests flavour label left_out)
  set(kernels cuda_kernels_${flavour} cuda_operators_${flavour})
  cria_add_kernels(cuda_kernels_${flavour} OBJECT Cuda)
  cria_add_kernels(cuda_operators_${flavour} OBJECT Cuda OPERATORS)
  foreach(library IN LISTS kernels)
    target_link_libraries(${library} PUBLIC cuda_emulation_${flavour} cria_warnings cria::cpu)
    target_compile_definitions(${library} PUBLIC CRIA_CUDA)
    target_compile_options(${library} PRIVATE -O1)
    set_target_properties(${library} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 7)
  endforeach()

  set(executable cria_cuda_tests_${flavour})
  add_executable(${executable} cuda/main.cpp ${ARGN})
  target_include_directories(${executable} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${executable} PRIVATE ${kernels} cuda_test_objects)  # which are linked in this order
  target_compile_options(${executable} PRIVATE -O1)
  compile_together(${executable})
  add_cuda_tests(${executable} ${label} "${left_out}" ${tests_without_kernels} ${ARGN})
endfunction()

if(CRIA_CUDA STREQUAL EMULATION)
  add_subdirectory(cuda_emulation)
  add_library(cuda_test_objects OBJECT ${tests_without_kernels} cuda/read_past_the_end.cpp)
  target_include_directories(cuda_test_objects PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(cuda_test_objects
    PUBLIC cuda_emulation_headers cria_operators cria_kernels cria::io Boost::unit_test_framework
    PRIVATE cria_build_options)
  compile_quickly(cuda_test_objects)
  target_compile_definitions(cuda_test_objects PUBLIC
    CRIA_CUDA CRIA_DEFAULT_BACKEND_CUDA BOOST_TEST_DYN_LINK CRIA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

  if(TARGET cuda_emulation_chk)  # tests with kernels of their own are watched
    add_emulated_cuda_tests(plain cuda "")
  else()
    add_emulated_cuda_tests(plain cuda "" ${tests_with_kernels})
  endif()
  # Where kernels are watched, which takes its time, it does not matter what they compute. Left out is what runs kernels
  # again as others do: of the tests of an operation accumulates_into_existing_gradients runs all shapes in all types, the
  # rest is about orders, memory and longer training.
  set(seen_before "ops/*/*/matches_reference" "ops/*/*/infinities_match_reference" "ops/*/*/gradients_match_double"
    "ops/*/*/gradients_match_finite_differences" "ops/*/*/changed_inputs_are_noticed" "ops/*/*/repeats_in_every_order"
    "ops/attention/threads_do_not_matter"
    "ops/attention/memory_does_not_grow_with_the_square_of_the_length"
    "ops/cross_entropy/linear_cross_entropy_never_holds_all_logits" "ops/long_sums" "cuda/attention/schedules_do_not_matter"
    "nn/llama/ten_training_losses_are_pytorchs" "nn/mixed_precision/*_training_follows_float32")
  if(TARGET cuda_emulation_chk)
    add_emulated_cuda_tests(chk cuda_chk "${seen_before}" ${tests_with_kernels})
    # A kernel of the library that reads past the end of its tensor is caught, so it is the watched one that is linked.
    add_test(NAME cuda_chk.kernels_are_watched COMMAND cria_cuda_tests_chk --run_test=kernels/read_past_the_end)
    set_tests_properties(cuda_chk.kernels_are_watched PROPERTIES LABELS cuda_chk ENVIRONMENT CRIA_CUDA_PASS_THROUGH=1
                                                                 PASS_REGULAR_EXPRESSION "out-of-bounds device read")
  endif()

  # No other file has kernels.
  add_test(NAME cuda.kernels_are_compiled_once COMMAND sh -c
    "nm -C --defined-only $<JOIN:$<TARGET_OBJECTS:cuda_test_objects>, > >symbols.txt && ! grep -E ' [A-Za-z] void cria::cuda::[^(]*_kernel<' symbols.txt")
  set_tests_properties(cuda.kernels_are_compiled_once PROPERTIES LABELS cuda)
endif()

# These may be carried to another machine that has a GPU, so they look for files in the folder where they are started.
if(CRIA_CUDA STREQUAL ON)
  cria_add_kernels(cria_cuda_operators STATIC Cuda OPERATORS)
  target_link_libraries(cria_cuda_operators PUBLIC cria_cuda_kernels cria_operators PRIVATE cria_build_options)

  set(files_for_nvcc "")
  list(LENGTH tests_without_kernels end)
  math(EXPR last "${end} - 1")
  foreach(first RANGE 0 ${last} ${CMAKE_UNITY_BUILD_BATCH_SIZE})
    list(SUBLIST tests_without_kernels ${first} ${CMAKE_UNITY_BUILD_BATCH_SIZE} batch)
    cuda_source(file tests_${first} ${batch})
    list(APPEND files_for_nvcc ${file})
  endforeach()
  cuda_source(file tests_with_kernels ${tests_with_kernels})
  cuda_source(main main cuda/main.cpp)
  add_executable(cria_cuda_tests ${files_for_nvcc} ${file} ${main})
  target_include_directories(cria_cuda_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(cria_cuda_tests PRIVATE cria_cuda_operators cria::io cria_build_options Boost::unit_test_framework)
  target_compile_definitions(cria_cuda_tests PRIVATE
    CRIA_DEFAULT_BACKEND_CUDA BOOST_TEST_DYN_LINK CRIA_SOURCE_DIR=".")
  target_compile_options(cria_cuda_tests PRIVATE
    --diag-suppress=3189  # a namespace may be called module
    -Xcompiler=-Wno-subobject-linkage,-O0)  # and a file include others with fixtures in unnamed namespaces
  add_cuda_tests(cria_cuda_tests cuda "" ${tests_without_kernels} ${tests_with_kernels})

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
  if(CRIA_NVCC)
    add_test(NAME cuda.nvcc COMMAND ${CMAKE_COMMAND}
      -Dnvcc=${CRIA_NVCC} "-Darchitectures=80 90 100" -Doldest=75 -Dof_operators=90
      -Dinclude=${PROJECT_SOURCE_DIR}/include
      -Dfolder=${CMAKE_CURRENT_BINARY_DIR} -P ${CMAKE_CURRENT_SOURCE_DIR}/cuda/nvcc.cmake)
  else()
    add_test(NAME cuda.nvcc COMMAND sh -c "echo 'skipped: there is no nvcc'; exit 77")
  endif()
  set_tests_properties(cuda.nvcc PROPERTIES TIMEOUT 900 LABELS cuda SKIP_RETURN_CODE 77 COST 100)  # begun first
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
