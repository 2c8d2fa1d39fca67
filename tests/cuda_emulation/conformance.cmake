# The emulation's functions, compiled against the toolkit's own headers: a signature or a value that differs from the
# look-alike's is an error.
find_path(CUDA_EMULATION_TOOLKIT cuda_runtime_api.h PATHS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES include
          DOC "Headers of a CUDA toolkit, for the conformance test of the emulation")

if(CUDA_EMULATION_TOOLKIT)
  set(api_sources ${emulation_sources})
  list(FILTER api_sources INCLUDE REGEX "/src/(runtime_.*|streams|graphs|gemm|cublas.*)\\.cpp$")

  set(api_headers driver_types.h library_types.h cublas_v2.h cublasLt.h)
  if(EXISTS ${CUDA_EMULATION_TOOLKIT}/nccl.h)
    list(APPEND api_sources ${CMAKE_CURRENT_SOURCE_DIR}/src/nccl.cpp)
    list(APPEND api_headers nccl.h)
  endif()

  # static_assert(cudaErrorNoDevice == 100); for every enumerator and number of the look-alikes.
  set(values ${CMAKE_CURRENT_BINARY_DIR}/conformance_values.cpp)
  set(assertions "#include <cuda_runtime_api.h>\n#include <cublasLt.h>\n")
  if(nccl.h IN_LIST api_headers)
    string(APPEND assertions "#include <nccl.h>\n")
  endif()
  foreach(header IN LISTS api_headers)
    file(READ include/${header} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/${header})
    string(REGEX MATCHALL "[A-Za-z_0-9]+ = -?[0-9]+[0-9A-Fx]*" enumerators "${text}")
    string(REGEX MATCHALL "#define cuda[A-Za-z]+ 0x[0-9]+" numbers "${text}")
    foreach(value IN LISTS enumerators numbers)
      string(REGEX MATCH "([A-Za-z_0-9]+) (= )?(-?[0-9A-Fx]+)$" match "${value}")
      string(APPEND assertions "static_assert(${CMAKE_MATCH_1} == ${CMAKE_MATCH_3});\n")
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT ${values} CONTENT "${assertions}")

  add_library(cuda_emulation_conformance OBJECT EXCLUDE_FROM_ALL ${api_sources} ${values})
  target_compile_features(cuda_emulation_conformance PRIVATE cxx_std_20)
  # The toolkit comes first; of the look-alikes' folder only cuda_emulation/ is left. cublas_v2.h needs the runtime's
  # header, but does not include it.
  target_include_directories(cuda_emulation_conformance PRIVATE
    ${CUDA_EMULATION_TOOLKIT} include src ${CMAKE_CURRENT_SOURCE_DIR}/../../include)
  target_compile_options(cuda_emulation_conformance PRIVATE -include cuda_runtime_api.h -O0 -w)
  add_test(NAME cuda_emulation.conformance COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR}
                                                   --target cuda_emulation_conformance)
  set_tests_properties(cuda_emulation.conformance PROPERTIES RUN_SERIAL ON)
else()
  add_test(NAME cuda_emulation.conformance COMMAND ${CMAKE_COMMAND} -E echo "skipped: there is no CUDA toolkit here")
  set_tests_properties(cuda_emulation.conformance PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: there is no")
endif()
