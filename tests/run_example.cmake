# Runs a program of examples/tour: it returns 0, and says at last what is right.
execute_process(COMMAND ${program} ${arguments} OUTPUT_VARIABLE output RESULT_VARIABLE status)
message("${output}")
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${program} returned ${status}")
endif()
if(NOT output MATCHES "\nright: [^\n]+\n$")
  message(FATAL_ERROR "the last line of ${program} does not begin with \"right: \"")
endif()
