// docs/from_pytorch.md: each row of its tables is a PyTorch expression, which
// tests/golden/make_from_pytorch_goldens.py evaluated, and the C++ expression that stands here beside it. Both
// are computed from the same inputs, and compared.

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <concepts>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

BOOST_AUTO_TEST_SUITE(from_pytorch)

namespace {

using namespace cria;
using cria::test::Values;
namespace nn = cria::nn;  // and no suites of these names
namespace schedule = cria::schedule;

constexpr double tolerance = 2e-5;  // of float

/// The functions of PyTorch that most files use: tests/golden/most_used_of_pytorch.py counted them.
constexpr std::array most_used{"cat",
                               "view",
                               "reshape",
                               "unsqueeze",
                               "arange",
                               "transpose",
                               "expand",
                               "permute",
                               "zeros",
                               "tensor",
                               "sum",
                               "softmax",
                               "flatten",
                               "ones",
                               "clamp",
                               "norm",
                               "repeat",
                               "mean",
                               "squeeze",
                               "stack",
                               "repeat_interleave",
                               "matmul",
                               "sqrt",
                               "chunk",
                               "cos",
                               "dropout",
                               "zeros_like",
                               "sin",
                               "where",
                               "pad",
                               "interpolate",
                               "full",
                               "log",
                               "max",
                               "pow",
                               "exp",
                               "masked_fill",
                               "all",
                               "sigmoid",
                               "empty",
                               "split",
                               "rsqrt",
                               "cumsum",
                               "gather",
                               "ceil",
                               "argmax",
                               "nonzero",
                               "topk",
                               "unbind",
                               "masked_scatter",
                               "randn",
                               "div",
                               "ones_like",
                               "floor",
                               "equal",
                               "linspace",
                               "rand",
                               "abs",
                               "any",
                               "prod",
                               "linear",
                               "meshgrid",
                               "einsum",
                               "tanh",
                               "min",
                               "one_hot",
                               "unflatten",
                               "index_add",
                               "scatter",
                               "mul",
                               "greater",
                               "relu",
                               "full_like",
                               "silu",
                               "round",
                               "ne",
                               "std",
                               "unfold",
                               "scaled_dot_product_attention",
                               "bmm",
                               "add",
                               "index_select",
                               "argsort",
                               "normalize",
                               "empty_like",
                               "eye",
                               "scatter_add",
                               "softplus"};
static_assert(most_used.size() == 88);

/// `|` would end a cell.
std::string cell(std::string_view code) {
  std::string text = "`";
  for (const char c : code) text += c == '|' ? "\\|" : std::string(1, c);
  return text + "`";
}

/// The page's tables, and the comparisons with what PyTorch gave.
class Rows {
 public:
  template <class T>
  Tensor<T> input(const char* name) const {
    const auto& golden = golden_.at("inputs").at(name);
    return Tensor<T>::from(Shape(golden.at("shape").get<std::vector<std::int64_t>>()),
                           golden.at("values").get<std::vector<T>>());
  }

  void section(const char* title) {
    page_ += "\n## " + std::string(title) + "\n\n| PyTorch | cria |\n| --- | --- |\n";
  }
  /// A row whose C++ is not compared.
  void add(const char* pytorch, const char* cria) {
    page_ += "| " + cell(pytorch) + " | " + cell(cria) + " |\n";
    pytorch_ += pytorch;
  }

  template <class T>
  void compare(const char* pytorch, const char* cria, const Tensor<T>& y) {
    compare_shape(pytorch, cria, y);
    cria::test::check_close(pytorch, cria::test::to_values(y), values_of(pytorch), tolerance);
  }
  template <class T>
  void compare(const char* pytorch, const char* cria, const std::vector<T>& y) {
    add(pytorch, cria);
    cria::test::check_close(pytorch, Values(y.begin(), y.end()), values_of(pytorch), tolerance);
  }
  template <class N>
  requires std::is_arithmetic_v<N>
  void compare(const char* pytorch, const char* cria, N y) {
    compare(pytorch, cria, Values{static_cast<double>(y)});
  }
  void compare(const char* pytorch, const char* cria, const Shape& shape) {
    compare(pytorch, cria, Values(shape.begin(), shape.end()));
  }
  template <class T>
  void compare_composed(const char* pytorch, const char* cria, const T& y) {
    composed_ += pytorch;
    compare(pytorch, cria, y);
  }
  template <class T>
  void compare_shape(const char* pytorch, const char* cria, const Tensor<T>& y) {
    add(pytorch, cria);
    BOOST_TEST_REQUIRE(golden_.at("rows").contains(pytorch), pytorch << " has no golden");
    const auto& want = golden_.at("rows").at(pytorch).at("shape");
    BOOST_TEST(y.shape() == Shape(want.get<std::vector<std::int64_t>>()), pytorch);
  }

  /// A layer with parameters by formula.
  template <class M, class... X>
  void layer(const char* pytorch, const char* cria, M module, const X&... x) {
    fill(module);
    const NoGrad guard;
    const auto y = module(x...);
    if constexpr (requires { y.first; }) {
      compare(pytorch, cria, y.first);
    } else {
      compare(pytorch, cria, y);
    }
  }
  /// The weight after five steps of an optimiser. make(model) gives it.
  template <class F>
  void optimizer(const char* pytorch, const char* cria, F make) {
    nn::Linear<float> model(4, 3);
    fill(model);
    auto optimizer = make(model);
    for (int step = 0; step < 5; ++step) {
      backward(mean(square(model(input<float>("x")) - input<float>("targets_of_model"))));
      optimizer.step();
    }
    compare(pytorch, cria, model.weight.value());
  }
  void schedule(const char* pytorch, const char* cria, const Schedule& rate) {
    Values rates;
    for (std::int64_t iteration = 0; iteration < 20; ++iteration) rates.push_back(rate(iteration));
    compare(pytorch, cria, rates);
  }

  /// Parameter k in alphabetical order is sin(k + i / 2) / 2 at i.
  template <class M>
  static void fill(M& module) {
    std::map<std::string, std::function<void(double)>> all;
    nn::for_each_parameter(module,
                           [&]<class T, class B>(const std::string& name, Parameter<T, B>& parameter) {
                             all[name] = [&parameter](double k) {
                               double i = 0;
                               nn::detail::fill_by(parameter, [&] { return std::sin(k + i++ / 2) / 2; });
                             };
                           });
    double k = 0;
    for (const auto& parameter : all) parameter.second(k++);
  }

  const std::string& page() const { return page_; }
  /// Whether a row has this function; and whether such a row is composed.
  bool has(const std::string& function) const { return contains(pytorch_, function); }
  bool has_composed(const std::string& function) const { return contains(composed_, function); }

 private:
  static bool contains(const std::string& rows, const std::string& function) {
    return rows.find("." + function + "(") != std::string::npos;
  }
  Values values_of(const char* pytorch) const {
    BOOST_TEST_REQUIRE(golden_.at("rows").contains(pytorch), pytorch << " has no golden");
    return golden_.at("rows").at(pytorch).at("values").get<Values>();
  }

  nlohmann::json golden_ = cria::test::golden_json("from_pytorch.json");
  std::string page_, pytorch_, composed_;
};

#define ROW(PYTORCH, ...) compare(PYTORCH, #__VA_ARGS__, __VA_ARGS__);
/// An expression in the place of a function that cria does not have.
#define COMPOSED(PYTORCH, ...) compare_composed(PYTORCH, #__VA_ARGS__, __VA_ARGS__);
/// Random numbers, of which the shape alone is the same.
#define RANDOM(PYTORCH, ...) compare_shape(PYTORCH, #__VA_ARGS__, __VA_ARGS__);
/// What is done, not computed: it works.
#define STATEMENT(PYTORCH, ...) \
  add(PYTORCH, #__VA_ARGS__); \
  __VA_ARGS__;
/// A layer, called with inputs in brackets.
#define LAYER(PYTORCH, INPUTS, ...) layer(PYTORCH, #__VA_ARGS__, __VA_ARGS__, CRIA_WITHOUT_BRACKETS INPUTS);
#define CRIA_WITHOUT_BRACKETS(...) __VA_ARGS__
#define OPTIMIZER(PYTORCH, ...) optimizer(PYTORCH, #__VA_ARGS__, [](auto& model) { return __VA_ARGS__; });
#define SCHEDULE(PYTORCH, ...) schedule(PYTORCH, #__VA_ARGS__, __VA_ARGS__);

// clang-format off

/// The tables' rows.
struct Page : Rows {
  const Tensor<float> x = input<float>("x"), y = input<float>("y"), positive = input<float>("positive");
  const Tensor<float> row = input<float>("row"), a = input<float>("a"), b = input<float>("b");
  const Tensor<float> source = input<float>("source");
  const Tensor<float> weight = input<float>("weight"), bias = input<float>("bias");
  const Tensor<float> image = input<float>("image"), kernel = input<float>("kernel");
  const Tensor<float> of_kernel = input<float>("of_kernel"), transposed = input<float>("transposed");
  const Tensor<float> signal = input<float>("signal"), kernel1d = input<float>("kernel1d");
  const Tensor<float> q = input<float>("q"), k = input<float>("k"), v = input<float>("v");
  const Tensor<float> sequence = input<float>("sequence"), memory = input<float>("memory");
  const Tensor<float> logits = input<float>("logits"), probability = input<float>("probability");
  const Tensor<float> of_classes = input<float>("of_classes");
  const Tensor<std::int32_t> classes = input<std::int32_t>("classes"), tokens = input<std::int32_t>("tokens");
  const Tensor<std::int32_t> indices = input<std::int32_t>("indices"), some = input<std::int32_t>("some");
  const Tensor<bool> mask = x > 0.2f, other = y > 0.1f;
  Buffer<float> running_mean{{4}}, running_variance{{4}, 1.0f};
  Rng rng{1};

  void tensors() {
    section("Tensors");
    ROW("torch.tensor([[1., 2.], [3., 4.]])", Tensor<float>::from({2, 2}, {1, 2, 3, 4}))
    ROW("torch.zeros(2, 3)", zeros<float>({2, 3}))
    ROW("torch.ones(2, 3)", ones<float>({2, 3}))
    ROW("torch.full((2, 3), 0.5)", Tensor<float>::full({2, 3}, 0.5f))
    RANDOM("torch.empty(2, 3)", Tensor<float>::empty({2, 3}))
    ROW("torch.arange(5.)", arange<float>(5))
    ROW("torch.arange(1, 9, 2)", arange<std::int32_t>(1, 9, 2))
    ROW("torch.linspace(0, 1, 5)", linspace<float>(0, 1, 5))
    ROW("torch.eye(3)", eye<float>(3))
    ROW("torch.zeros_like(x)", zeros_like(x))
    ROW("torch.ones_like(x)", ones_like(x))
    ROW("torch.full_like(x, 2)", full_like(x, 2))
    RANDOM("torch.empty_like(x)", empty_like(x))
    RANDOM("torch.rand(2, 3)", rand<float>({2, 3}, rng))
    RANDOM("torch.randn(2, 3)", randn<float>({2, 3}, rng))
    RANDOM("torch.randint(0, 10, (2, 3))", randint<std::int32_t>(0, 10, {2, 3}, rng))
    RANDOM("torch.randperm(5)", randperm<std::int32_t>(5, rng))
    RANDOM("torch.bernoulli(torch.full((3, 4), 0.3))", rand<float>({3, 4}, rng) < 0.3f)
    RANDOM("torch.multinomial(positive[0], 1)[0]",
           argmax(log(select(positive, 0, 0)) - log(-log(rand<float>({4}, rng)))))
    ROW("x.shape", x.shape())
    ROW("x.size(0)", x.dim(0))
    ROW("x.dim()", x.rank())
    ROW("x.numel()", x.size())
    ROW("x[1, 2].item()", x.at({1, 2}))
    ROW("x.sum().item()", sum(x).item())
    ROW("x.flatten().tolist()", x.to_vector())
    ROW("x.to(torch.bfloat16)", cast<bfloat16>(x))
    ROW("x.clone()", x.to<Cpu>())
    ROW("x.detach()", x.detach())
  }

  void elementwise() {
    section("On each element");
    ROW("x + row", x + row)
    ROW("torch.add(x, y)", x + y)
    ROW("x - 2 * y", x - 2 * y)
    ROW("torch.mul(x, y)", x * y)
    ROW("torch.div(x, positive)", x / positive)
    ROW("-x", -x)
    ROW("torch.greater(x, y)", x > y)
    ROW("torch.eq(x, y)", x == y)
    ROW("torch.ne(x, y)", x != y)
    ROW("mask & other", mask && other)
    ROW("mask | other", mask || other)
    ROW("~mask", !mask)
    ROW("torch.abs(x)", abs(x))
    ROW("torch.square(x)", square(x))
    ROW("torch.sqrt(positive)", sqrt(positive))
    ROW("torch.rsqrt(positive)", rsqrt(positive))
    ROW("torch.reciprocal(positive)", 1 / positive)
    ROW("torch.exp(x)", exp(x))
    ROW("torch.expm1(x)", expm1(x))
    ROW("torch.log(positive)", log(positive))
    ROW("torch.log1p(positive)", log1p(positive))
    ROW("torch.sin(x)", sin(x))
    ROW("torch.cos(x)", cos(x))
    ROW("torch.tanh(x)", tanh(x))
    ROW("torch.sigmoid(x)", sigmoid(x))
    ROW("torch.erf(x)", erf(x))
    ROW("torch.pow(positive, 1.5)", pow(positive, 1.5f))
    ROW("torch.pow(positive, x)", pow(positive, x))
    ROW("torch.floor(x)", floor(x))
    ROW("torch.ceil(x)", ceil(x))
    ROW("torch.round(x)", round(x))
    COMPOSED("torch.sign(x)", where(x > 0, 1, where(x < 0, -1, zeros_like(x))))
    COMPOSED("torch.isnan(x)", x != x)
    ROW("torch.clamp(x, -0.5, 0.5)", clamp(x, -0.5f, 0.5f))
    ROW("torch.maximum(x, y)", maximum(x, y))
    ROW("torch.minimum(x, y)", minimum(x, y))
    ROW("torch.where(mask, x, y)", where(mask, x, y))
    ROW("torch.lerp(x, y, positive)", lerp(x, y, positive))
    ROW("x.masked_fill(mask, -1)", masked_fill(x, mask, -1))
    ROW("F.relu(x)", relu(x))
    ROW("F.leaky_relu(x, 0.1)", leaky_relu(x, 0.1f))
    ROW("F.elu(x)", elu(x))
    ROW("F.silu(x)", silu(x))
    ROW("F.gelu(x)", gelu(x))
    ROW("F.gelu(x, approximate='tanh')", gelu_tanh(x))
    ROW("F.softplus(x)", softplus(x))
    ROW("F.silu(x) * y", swiglu(x, y))
    COMPOSED("F.mish(x)", map([](auto e) { return e * tanh(log1p(exp(e))); }, x))
  }

  void reductions() {
    section("Over dimensions");
    ROW("torch.sum(x)", sum(x))
    ROW("torch.sum(a, dim=(0, 2))", sum(a, {0, 2}))
    ROW("torch.mean(x, dim=-1, keepdim=True)", mean(x, -1, {.keepdim = true}))
    ROW("torch.prod(x, dim=1)", prod(x, 1))
    ROW("torch.max(x)", max(x))
    ROW("torch.max(x, dim=1).values", max(x, 1))
    ROW("torch.min(x, dim=1).values", min(x, 1))
    ROW("torch.amax(a, dim=(0, 1))", max(a, {0, 1}))
    ROW("torch.argmax(x, dim=1)", argmax(x, 1))
    ROW("torch.argmin(x)", argmin(x))
    ROW("torch.var(x, dim=1)", variance(x, 1))
    ROW("torch.std(x, dim=1, correction=0)", standard_deviation(x, 1, {.correction = 0}))
    ROW("torch.norm(x)", norm(x))
    ROW("torch.linalg.vector_norm(x, dim=1)", norm(x, 1))
    ROW("torch.logsumexp(x, dim=1)", logsumexp(x, 1))
    ROW("torch.any(mask)", any(mask))
    ROW("torch.all(mask, dim=1)", all(mask, 1))
    ROW("torch.count_nonzero(x)", count(x))
    COMPOSED("torch.equal(x, y)", all(x == y).item())
    COMPOSED("torch.allclose(x, y)", max(abs(x - y)).item() <= 1e-5f)
    ROW("torch.cumsum(x, dim=1)", cumsum(x, 1))
    ROW("F.softmax(x, dim=-1)", softmax(x, -1))
    ROW("F.log_softmax(x, dim=0)", log_softmax(x, 0))
    ROW("torch.sort(x, dim=-1).values", sort(x).values)
    ROW("torch.argsort(x, dim=-1)", sort(x).indices)
    ROW("torch.topk(x, 2).indices", topk(x, 2).indices)
    ROW("torch.topk(x, 2, largest=False).values", topk(x, 2, {.largest = false}).values)
  }

  void shapes() {
    section("Shapes and elements");
    ROW("x.reshape(2, 6)", reshape(x, {2, 6}))
    ROW("x.view(-1, 6)", reshape(x, {-1, 6}))
    ROW("x.T", transpose(x, 0, 1))
    ROW("x.transpose(0, 1)", transpose(x, 0, 1))
    ROW("a.permute(2, 0, 1)", permute(a, {2, 0, 1}))
    ROW("x.unsqueeze(1)", unsqueeze(x, 1))
    ROW("x.unsqueeze(1).squeeze(1)", squeeze(unsqueeze(x, 1), 1))
    ROW("a.flatten(1)", flatten(a, 1))
    ROW("row.expand(3, 4)", expand(row, {3, 4}))
    ROW("x.repeat(2, 1)", repeat(x, {2, 1}))
    ROW("x[1]", select(x, 0, 1))
    ROW("x[:, -1]", select(x, 1, -1))
    ROW("x[:, 1:3]", slice(x, 1, 1, 3))
    ROW("x[:, ::2]", slice(x, 1, 0, 4, 2))
    ROW("torch.narrow(x, 1, 1, 2)", slice(x, 1, 1, 3))
    COMPOSED("torch.unbind(x)[1]", select(x, 0, 1))
    COMPOSED("x.unflatten(1, (2, 2))", reshape(x, {3, 2, 2}))
    COMPOSED("torch.repeat_interleave(x, 2, dim=0)", flatten(repeat(unsqueeze(x, 1), {1, 2, 1}), 0, 1))
    COMPOSED("torch.meshgrid(row, row, indexing='ij')[0]", expand(unsqueeze(row, 1), {4, 4}))
    ROW("torch.cat([x, y], dim=1)", concat({x, y}, 1))
    ROW("torch.stack([x, y], dim=1)", stack({x, y}, 1))
    ROW("torch.split(x, [1, 3], dim=1)[1]", split(x, {1, 3}, 1)[1])
    ROW("torch.chunk(x, 2, dim=1)[0]", chunk(x, 2, 1)[0])
    ROW("torch.flip(x, (0, 1))", flip(x, {0, 1}))
    ROW("torch.roll(x, 1, 1)", roll(x, 1, 1))
    ROW("torch.tril(x)", tril(x))
    ROW("torch.triu(x, 1)", triu(x, 1))
    ROW("F.pad(x, (1, 2), value=3)", pad(x, {{0, 0}, {1, 2}}, 3))
    ROW("F.unfold(image, 3, padding=1)", unfold(image, 3, {.padding = 1}))
    ROW("torch.gather(x, 1, indices)", gather(x, 1, indices))
    ROW("torch.index_select(x, 0, some)", index_select(x, 0, some))
    ROW("x[some]", index_select(x, 0, some))
    ROW("x.scatter_add(1, indices, source)", scatter_add(x, 1, indices, source))
    ROW("x.scatter(1, some.expand(3, 2), source)", scatter(x, 1, expand(some, {3, 2}), source))
    COMPOSED("x.masked_scatter(mask, y)",
             where(mask, reshape(index_select(flatten(y), 0, cast<std::int32_t>(maximum(cumsum(flatten(mask), 0) - 1, 0))), {3, 4}), x))
    COMPOSED("x.index_add(0, some, y[:2])",
             scatter_add(x, 0, expand(unsqueeze(some, 1), {2, 4}), slice(y, 0, 0, 2)))
    ROW("F.one_hot(classes, 5)", one_hot(classes, 5))
    ROW("torch.nonzero(mask)", nonzero(mask))
  }

  void products() {
    section("Products, convolutions, pooling");
    ROW("x @ y.T", matmul(x, transpose(y, 0, 1)))
    ROW("torch.matmul(a, b)", matmul(a, b))
    ROW("torch.mm(x, y.T)", matmul(x, transpose(y, 0, 1)))
    ROW("torch.bmm(a, b)", bmm(a, b))
    ROW("torch.einsum('bij,bjk->bik', a, b)", einsum("bij,bjk->bik", a, b))
    ROW("torch.dot(row, row)", dot(row, row))
    ROW("torch.outer(row, row)", outer(row, row))
    ROW("F.linear(x, weight, bias)", linear(x, weight, bias))
    ROW("F.conv1d(signal, kernel1d, padding=1)", conv1d(signal, kernel1d, {.padding = 1}))
    ROW("F.conv2d(image, kernel, of_kernel, stride=2)", conv2d(image, kernel, of_kernel, {.stride = 2}))
    ROW("F.conv_transpose2d(image, transposed, stride=2)", conv_transpose2d(image, transposed, {.stride = 2}))
    ROW("F.max_pool2d(image, 2)", max_pool2d(image, 2))
    ROW("F.avg_pool2d(image, 3, stride=1, padding=1)", avg_pool2d(image, 3, {.stride = 1, .padding = 1}))
    COMPOSED("F.adaptive_avg_pool2d(image, 1)", mean(image, {2, 3}, {.keepdim = true}))
    ROW("F.interpolate(image, scale_factor=2)", interpolate_nearest(image, 2))
  }

  void networks() {
    section("Of networks");
    ROW("F.embedding(tokens, weight)", embedding(tokens, weight))
    ROW("F.layer_norm(x, (4,), row, row)", layer_norm(x, row, row))
    ROW("F.group_norm(image, 2, row, row)", group_norm(image, 2, row, row))
    ROW("F.rms_norm(x, (4,), row, 1e-5)", rms_norm(x, row))
    ROW("F.batch_norm(image, None, None, row, row, training=True)",
        batch_norm(image, row, row, running_mean, running_variance))
    COMPOSED("F.normalize(x, dim=1)", x / norm(x, 1, {.keepdim = true}))
    ROW("F.cosine_similarity(x, y)", cosine_similarity(x, y, 1))
    RANDOM("F.dropout(x, 0.1)", dropout(x, 0.1f, rng))
    ROW("F.scaled_dot_product_attention(q, k, v)", scaled_dot_product_attention(q, k, v))
    ROW("F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)",
        attention(transpose(q, 1, 2), transpose(k, 1, 2), transpose(v, 1, 2)))
  }

  void losses() {
    section("Losses");
    ROW("F.mse_loss(x, y)", mse_loss(x, y))
    ROW("F.l1_loss(x, y, reduction='sum')", l1_loss(x, y, {.reduction = Reduction::sum}))
    ROW("F.huber_loss(x, y, delta=0.5)", huber_loss(x, y, {.delta = 0.5}))
    ROW("F.smooth_l1_loss(x, y)", huber_loss(x, y))
    ROW("F.cross_entropy(logits, classes)", cross_entropy(logits, classes))
    ROW("F.cross_entropy(logits, classes, label_smoothing=0.1)",
        cross_entropy(logits, classes, {.label_smoothing = 0.1}))
    ROW("F.cross_entropy(logits, classes, weight=of_classes)", cross_entropy(logits, classes, of_classes))
    ROW("F.nll_loss(F.log_softmax(logits, -1), classes)", nll_loss(log_softmax(logits, -1), classes))
    ROW("F.binary_cross_entropy_with_logits(logits, probability)",
        binary_cross_entropy_with_logits(logits, probability))
    ROW("F.kl_div(logits, probability, reduction='sum')",
        kl_div(logits, probability, {.reduction = Reduction::sum}))
  }

  void layers() {
    section("Layers");
    LAYER("nn.Linear(4, 3)", (x), nn::Linear<float>(4, 3, {.bias = true}))
    LAYER("nn.Linear(4, 3, bias=False)", (x), nn::Linear<float>(4, 3))
    LAYER("nn.Conv1d(4, 6, 3, padding=1)", (signal), nn::Conv1d<float>(4, 6, 3, {.padding = 1}))
    LAYER("nn.Conv2d(4, 6, 3, stride=2, groups=2)", (image),
          nn::Conv2d<float>(4, 6, 3, {.stride = 2, .groups = 2}))
    LAYER("nn.MaxPool2d(2)", (image), nn::MaxPool2d{2})
    LAYER("nn.AvgPool2d(2)", (image), nn::AvgPool2d{2})
    LAYER("nn.Flatten()", (image), nn::Flatten{})
    LAYER("nn.Embedding(5, 4)", (tokens), nn::Embedding<float>(5, 4))
    LAYER("nn.LayerNorm(4)", (x), nn::LayerNorm<float>(4))
    LAYER("nn.RMSNorm(4, eps=1e-5)", (x), nn::RmsNorm<float>(4))
    LAYER("nn.GroupNorm(2, 4)", (image), nn::GroupNorm<float>(2, 4))
    LAYER("nn.BatchNorm2d(4)", (image), nn::BatchNorm2d<float>(4))
    LAYER("nn.Dropout(0.1)", (x), nn::Dropout{0.1f})
    LAYER("nn.ReLU()", (x), nn::Relu{})
    LAYER("nn.LeakyReLU(0.1)", (x), nn::LeakyRelu{0.1})
    LAYER("nn.ELU()", (x), nn::Elu{})
    LAYER("nn.GELU()", (x), nn::Gelu{})
    LAYER("nn.GELU('tanh')", (x), nn::GeluTanh{})
    LAYER("nn.SiLU()", (x), nn::Silu{})
    LAYER("nn.Sigmoid()", (x), nn::Sigmoid{})
    LAYER("nn.Tanh()", (x), nn::Tanh{})
    LAYER("nn.Softplus()", (x), nn::Softplus{})
    LAYER("nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU())", (x),
          nn::Sequential{nn::Linear<float>(4, 3), nn::Relu{}})
    LAYER("nn.GRU(8, 6, num_layers=2, batch_first=True)", (sequence), nn::Gru<float>(8, 6, {.layers = 2}))
    LAYER("nn.LSTM(8, 6, batch_first=True)", (sequence), nn::Lstm<float>(8, 6))
    LAYER("nn.MultiheadAttention(8, 2, batch_first=True)", (sequence), nn::MultiHeadAttention<float>(8, 2))
    LAYER(
        "nn.TransformerEncoderLayer(8, 2, 16, activation='gelu', batch_first=True, norm_first=True)",
        (sequence),
        nn::TransformerEncoderBlock<float>(8, 2, {.feed_forward = 16}))
    LAYER(
        "nn.TransformerDecoderLayer(8, 2, 16, activation='gelu', batch_first=True, norm_first=True)",
        (sequence, memory),
        nn::TransformerDecoderBlock<float>(8, 2, {.feed_forward = 16}))
  }

  void modules() {
    nn::Linear<float> model(4, 3);
    fill(model);
    section("Modules");
    ROW("sum(p.numel() for p in model.parameters())", nn::parameter_count(model))
    STATEMENT("model.named_parameters()", nn::parameters(model))
    STATEMENT("model.state_dict()", nn::state_dict(model))
    STATEMENT("copy.deepcopy(model)", nn::clone(model))
    STATEMENT("model.to(torch.bfloat16)", nn::cast<bfloat16>(model))
    STATEMENT("model.requires_grad_(False)", nn::freeze(model))
    STATEMENT("model.requires_grad_(True)", nn::unfreeze(model))
    STATEMENT("model.zero_grad()", nn::zero_grad(model))
    STATEMENT("nn.init.zeros_(model.weight)", nn::fill(model.weight, 0))
    STATEMENT("nn.init.uniform_(model.weight, -0.1, 0.1)", nn::fill_uniform(model.weight, -0.1, 0.1, rng))
    STATEMENT("nn.init.normal_(model.weight, std=0.02)", nn::fill_normal(model.weight, 0.02, rng))
    STATEMENT("nn.init.trunc_normal_(model.weight, std=0.02, a=-0.04, b=0.04)",
              nn::fill_truncated_normal(model.weight, 0.02, rng))
    STATEMENT("nn.init.xavier_uniform_(model.weight)", nn::fill_xavier_uniform(model.weight, rng))
    STATEMENT("nn.init.xavier_normal_(model.weight)", nn::fill_xavier_normal(model.weight, rng))
    STATEMENT("nn.init.kaiming_uniform_(model.weight, nonlinearity='relu')",
              nn::fill_kaiming_uniform(model.weight, rng))
    STATEMENT("nn.init.kaiming_normal_(model.weight, nonlinearity='relu')",
              nn::fill_kaiming_normal(model.weight, rng))
    STATEMENT("nn.init.orthogonal_(model.weight)", nn::fill_orthogonal(model.weight, rng))
  }

  void training() {
    nn::Linear<float> model(4, 3);
    fill(model);
    const auto loss = mean(square(model(x)));
    section("Training");
    STATEMENT("loss.backward()", backward(loss))
    ROW("nn.utils.clip_grad_norm_(model.parameters(), 0.1)", clip_grad_norm(model, 0.1))
    STATEMENT("nn.utils.clip_grad_value_(model.parameters(), 0.1)", clip_grad_value(model, 0.1))
    STATEMENT("torch.no_grad()", const NoGrad guard)
    STATEMENT("torch.amp.GradScaler('cpu')", GradScaler({.enabled = true}))
    STATEMENT("AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))",
              ExponentialMovingAverage(model, 0.999))
  }

  void optimizers() {
    section("Optimisers");
    OPTIMIZER("torch.optim.SGD(parameters, lr=0.1, momentum=0.9)",
              SGD(model, {.learning_rate = 0.1, .momentum = 0.9}))
    OPTIMIZER("torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)",
              SGD(model, {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}))
    OPTIMIZER("torch.optim.Adam(parameters, lr=0.01)", Adam(model, {.learning_rate = 0.01}))
    OPTIMIZER("torch.optim.AdamW(parameters, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)",
              AdamW(model, {.learning_rate = 0.01}))
    OPTIMIZER("torch.optim.AdamW(parameters)", AdamW(model, {.beta2 = 0.999, .weight_decay = 0.01}))
    OPTIMIZER("torch.optim.RMSprop(parameters)", RMSprop(model))
    OPTIMIZER("torch.optim.Adafactor(parameters)", Adafactor(model))
    OPTIMIZER("torch.optim.Muon(parameters, adjust_lr_fn='match_rms_adamw')", Muon(model))
    section("Schedules");
    SCHEDULE("LambdaLR(optimizer, lambda step: 1)", schedule::constant(0.1))
    SCHEDULE("LinearLR(optimizer, 1, 0.1, total_iters=20)", schedule::linear(0.1, 0.01, 20))
    SCHEDULE("CosineAnnealingLR(optimizer, 20, eta_min=0.01)", schedule::cosine(0.1, 0.01, 20))
    SCHEDULE("StepLR(optimizer, 5, gamma=0.5)", schedule::step(0.1, 0.5, 5))
    SCHEDULE("OneCycleLR(optimizer, 0.1, 20, cycle_momentum=False)", schedule::one_cycle(0.1, 20))
    SCHEDULE("LambdaLR(optimizer, lambda step: (max(step, 4) / 4) ** -0.5)",
             schedule::inverse_square_root(0.1, 4))
    SCHEDULE("LambdaLR(optimizer, lambda step: min(step / 5, 1))",
             schedule::warm_up(5, schedule::constant(0.1)))
    SCHEDULE("LambdaLR(optimizer, lambda step: min(step / 5, 1, (20 - step) / 10))",
             schedule::warmup_stable_decay(0.1, 0, 5, 10, 20))
    SCHEDULE("SequentialLR(optimizer, [ConstantLR(optimizer, 1), StepLR(optimizer, 1, 0.9)], [8])",
             schedule::then(schedule::constant(0.1), 8, schedule::step(0.1, 0.9, 1)))
  }
};

// clang-format on

#undef ROW
#undef COMPOSED
#undef RANDOM
#undef STATEMENT
#undef LAYER
#undef CRIA_WITHOUT_BRACKETS
#undef OPTIMIZER
#undef SCHEDULE

/// How many of the most used functions there are.
std::string counted(const Rows& rows) {
  std::size_t found = 0;
  std::string composed, missing;
  for (const std::string function : most_used) {
    found += rows.has(function);
    std::string& others = rows.has(function) ? composed : missing;
    if (!rows.has(function) || rows.has_composed(function))
      others += (others.empty() ? "" : ", ") + cell(function);
  }
  return "\n## Counted\n\n" + std::to_string(found) + " of the " + std::to_string(most_used.size()) +
         " functions of PyTorch that most files of transformers, diffusers and timm use are in these "
         "tables, " +
         composed + " as expressions of others." +
         (missing.empty() ? "" : " Not there are " + missing + ".") + "\n";
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_page_is_what_was_compared) {
  Page rows;
  rows.tensors();
  rows.elementwise();
  rows.reductions();
  rows.shapes();
  rows.products();
  rows.networks();
  rows.losses();
  rows.layers();
  rows.modules();
  rows.training();
  rows.optimizers();
  const std::string marker = "<!-- From here on tests/from_pytorch_test.cpp writes this page. -->\n";
  std::ifstream file(CRIA_SOURCE_DIR "/docs/from_pytorch.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  const std::string head = page.substr(0, page.find(marker));
  const std::string want = head + marker + rows.page() + counted(rows);
  if (page == want) return;
  std::ofstream("from_pytorch.md") << want;
  BOOST_ERROR(
      "docs/from_pytorch.md is not what this test makes: from_pytorch.md, in the folder where it ran");
}

BOOST_AUTO_TEST_SUITE_END()
