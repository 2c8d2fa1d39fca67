# Each program of examples/tour is the test examples.<name>.

set(arguments_of_03_two_spirals ${CMAKE_CURRENT_BINARY_DIR}/two_spirals.svg)

file(GLOB tour CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/tour/*.cpp)
foreach(source IN LISTS tour)
  cmake_path(GET source STEM name)
  add_test(NAME examples.${name} COMMAND ${CMAKE_COMMAND}
    -Dprogram=$<TARGET_FILE:${name}> "-Darguments=${arguments_of_${name}}" -P ${CMAKE_CURRENT_SOURCE_DIR}/run_example.cmake
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(examples.${name} PROPERTIES TIMEOUT 300 ${spin_briefly})
endforeach()

# The tutorial leads through them.
add_test(NAME docs.tutorial_quotes
  COMMAND ${CMAKE_COMMAND} -Dsource=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_SOURCE_DIR}/quotes.cmake)
