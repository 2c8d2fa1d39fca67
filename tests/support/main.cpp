#define BOOST_TEST_MODULE cria
#include <boost/test/unit_test.hpp>
