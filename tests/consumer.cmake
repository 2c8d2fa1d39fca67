# cria as a user gets it: installed, as a folder of a project, or headers on the include path; and each header alone.

set(prefix ${CMAKE_BINARY_DIR}/consumer_prefix)

# The test `name`: configures tests/consumer with the given arguments, builds and runs it.
function(add_consumer_test name from)
  add_test(NAME ${name} COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${CMAKE_BINARY_DIR}/consumer_${from}
    --build-generator ${CMAKE_GENERATOR}
    --build-options -Dfrom=${from} -Dcria_source=${PROJECT_SOURCE_DIR} -DCMAKE_PREFIX_PATH=${prefix}
                    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0
    --test-command ${CMAKE_BINARY_DIR}/consumer_${from}/consumer)
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 COST 30)  # begun before short ones
endfunction()

add_test(NAME consumer.install COMMAND ${CMAKE_COMMAND} --install ${CMAKE_BINARY_DIR} --prefix ${prefix})
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed)

add_consumer_test(consumer.find_package find_package)
set_tests_properties(consumer.find_package PROPERTIES FIXTURES_REQUIRED installed)

add_consumer_test(consumer.add_subdirectory add_subdirectory)
set_tests_properties(consumer.add_subdirectory PROPERTIES FIXTURES_SETUP consumer_built)
# A project that has cria as a folder installs itself and nothing of cria.
set(own_prefix ${CMAKE_BINARY_DIR}/consumer_own_prefix)
add_test(NAME consumer.installs_only_itself COMMAND sh -c "rm -rf '${own_prefix}' && \
  '${CMAKE_COMMAND}' --install '${CMAKE_BINARY_DIR}/consumer_add_subdirectory' --prefix '${own_prefix}' && \
  test \"$(cd '${own_prefix}' && find . -type f)\" = ./bin/consumer")
set_tests_properties(consumer.installs_only_itself PROPERTIES FIXTURES_REQUIRED consumer_built)
add_consumer_test(consumer.include_path include_path)

# Who forgets the build type is told.
foreach(from find_package add_subdirectory)
  set(test consumer.${from}.without_build_type)
  add_test(NAME ${test} COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer
    -B ${CMAKE_BINARY_DIR}/consumer_${from}_without_build_type -G ${CMAKE_GENERATOR} -Dfrom=${from} -DCMAKE_BUILD_TYPE=
    -Dcria_source=${PROJECT_SOURCE_DIR} -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
  set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED installed PASS_REGULAR_EXPRESSION "there is no build type")
endforeach()

# A component that there is not is refused with this sentence. (CMake breaks it into lines.)
if(NOT CRIA_CUDA STREQUAL ON)
  add_consumer_test(consumer.missing_component missing_component)
  set_tests_properties(consumer.missing_component PROPERTIES FIXTURES_REQUIRED installed
    PASS_REGULAR_EXPRESSION
    "cria has no component 'cuda' in this installation; there are cpu and, where[ \n]+nlohmann_json and ZLIB were found when it was installed, io")
endif()

add_test(NAME headers.includes
  COMMAND ${CMAKE_COMMAND} -Dinclude=${PROJECT_SOURCE_DIR}/include -P ${CMAKE_CURRENT_SOURCE_DIR}/includes.cmake)

# A kernel's header is read through the operation's that has it.
get_target_property(eigen Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)  # for cria/io/eigen.hpp
set(headers ${cria_headers})
list(FILTER headers EXCLUDE REGEX "/backend/")
if(TARGET cria_io)
  list(APPEND headers ${cria_io_headers})
endif()
add_test(NAME headers.compile_alone COMMAND ${CMAKE_COMMAND} -Dcompiler=${CMAKE_CXX_COMPILER}
  -Dinclude=${PROJECT_SOURCE_DIR}/include -Deigen=${eigen} "-Dheaders=${headers}"
  -P ${CMAKE_CURRENT_SOURCE_DIR}/headers_alone.cmake)
set_tests_properties(headers.compile_alone PROPERTIES TIMEOUT 900 COST 60)

# Slips that the compiler names in a sentence.
add_test(NAME headers.errors_are_sentences COMMAND ${CMAKE_COMMAND} -Dcompiler=${CMAKE_CXX_COMPILER}
  -Dinclude=${PROJECT_SOURCE_DIR}/include -Dfolder=${CMAKE_CURRENT_BINARY_DIR}/compile_errors
  -P ${CMAKE_CURRENT_SOURCE_DIR}/compile_errors/run.cmake)
set_tests_properties(headers.errors_are_sentences PROPERTIES TIMEOUT 300 COST 30)

# Both compilers, whichever of them builds the tests.
foreach(compiler g++ clang++)
  find_program(CRIA_${compiler} ${compiler} DOC "for the test headers.do_not_warn.${compiler}")
  set(test headers.do_not_warn.${compiler})
  if(CRIA_${compiler})
    add_test(NAME ${test} COMMAND ${CMAKE_COMMAND} -Dcompiler=${CRIA_${compiler}} -Dinclude=${PROJECT_SOURCE_DIR}/include
      -Dsource=${CMAKE_CURRENT_SOURCE_DIR}/consumer/main.cpp -P ${CMAKE_CURRENT_SOURCE_DIR}/warnings.cmake)
  else()
    add_test(NAME ${test} COMMAND sh -c "echo 'skipped: there is no ${compiler}'; exit 77")
  endif()
  set_tests_properties(${test} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77 COST 30)
endforeach()
