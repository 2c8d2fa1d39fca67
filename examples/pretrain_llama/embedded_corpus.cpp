#include "embedded_corpus.hpp"

#include "cria/core/random.hpp"

namespace pretrain {

namespace {

// Every choice shows in the text, and no two alternatives of a choice give the same text: that is what makes
// the grammar unambiguous. The test proves it by counting the derivations of stories.
constexpr std::string_view notation = R"grammar(
story:
- *3 <opening> <habit> <lost_toy>
- *3 <opening> <habit> <sharing>
- *3 <opening> <habit> <hurt_animal>
- *2 <opening> <fear>
- *2 <opening> <habit> <promise>
- *2 <opening> <building>
- *2 <opening> <gift>
- *2 <opening> <habit> <quarrel>
- *2 <opening> <newcomer>
- *2 <opening> <habit> <honesty>
- *2 <opening> <garden>
- *2 <race>

opening:
- *4 Once upon a time, there was {a} (little|small|young|sweet|quiet) {hero=child.kind} named {hero}.
- *2 There once was {a} (kind|cheerful|curious|clever) {hero=child.kind} called {hero}.
- *2 {hero=child} was {a} (happy|gentle|playful|brave) {hero.kind} who lived (near|by|beside) <home>.
- In {a} (tiny|pretty|sunny|busy|old) village lived {a} {hero=child.kind} whose name was {hero}.

home:
- the sea|the river|a forest|a lake|a green hill|a farm|the market|a quiet road|a castle|the mountains

habit:
- *3 {Hero.he} loved to <hobby>.
- *2 Every (morning|evening|day after school|weekend), {hero.he} liked to <hobby>.
- *2 Most of all, {hero.he} enjoyed (stories|music|games|warm milk|long walks|animals|sweets).
- Everyone said that {hero.he} was very (polite|friendly|funny|smart|helpful).
- *2

hobby:
- draw pictures|sing songs|climb trees|ride a bike|read books|dance|jump in puddles|count the stars|play hide and seek
  |look at clouds|collect shells|build towers|chase butterflies|bake cookies|run in the park|paint flowers

child [name he him his kind himself]:
- Lily / she / her / her / girl / herself
- Mia|Anna|Sue|Emma|Rosa|Nora|Lucy|Ella|Sara|Amy|Zoe|Kate|Molly|Jane|Ruby
- Tom / he / him / his / boy / himself
- Ben|Max|Sam|Leo|Jack|Tim|Finn|Noah|Oscar|Peter|Hugo|Adam|Luke|Theo|Will

elder [name he him his]:
- *3 Mom / she / her / her
- Grandma
- *3 Dad / he / him / his
- Grandpa

animal [name sound home]:
- bird / chirped / nest
- rabbit / squeaked / burrow
- kitten / meowed / basket
- puppy / barked / kennel
- duckling / quacked / pond
- squirrel / chattered / tree
- hedgehog / snuffled / garden
- lamb / bleated / meadow
- fox / whined / den
- turtle / hissed / river

color [name]:
- red|blue|green|yellow|orange|purple|white|pink|brown|golden

toy [name]:
- ball|kite|doll|car|drum|teddy bear|robot|boat|puzzle|train|whistle|yo-yo|truck|top

spot [name]:
- under the bed|behind the sofa|in the garden|on the shelf|near the door|in the kitchen|under the table
  |behind the curtain|in the big box|on the stairs|beside the lamp|in the attic

place [name]:
- park|beach|forest|garden|market|playground|school|river|farm|meadow|library|zoo

sky:
- The sun was (warm|bright|shining|high in the sky).
- The wind was (cold|soft|strong|playful).
- The sky was (blue|gray|clear|full of clouds).
- Birds were singing in the trees.
- *4

when:
- *3 One day,
- One (morning|afternoon|evening|sunny day|rainy day|windy day|cold day|spring day|winter day|quiet day),
- Then, one day,

sad:
- sad|worried|upset|unhappy|very sad|lonely

glad:
- happy|glad|proud|full of joy|very happy|so happy

lost_toy:
- {Hero.he} had {a} {color=color} {thing=toy} that (Mom had made|was a gift from Grandma|{hero.he} took everywhere
  |shone in the sun|was {hero.his} favorite).
  <when> the {thing} was gone. {hero} looked {first=spot}, but it was not there.
  (Then {hero.he} looked {second=spot}, but there was only (dust|a sock|an old shoe|a spoon|a sleepy cat).|)
  {Hero.he} felt <sad> (and began to cry|and sat down|and did not want to eat|).
  <p> "(What is wrong|Why do you look so sad|What happened|Can I help you), {hero}?" asked {helper=elder}.
  "I (lost|cannot find|miss) my {color} {thing}," said {hero}.
  {helper} (smiled|nodded|gave {hero.him} a hug) and said, "(Do not worry.|Let us look together.|We will find it.|Two can
  find more than one.)"
  They looked (everywhere|in every room|for a long time|up and down).
  At last, {helper} saw something {color} {third=spot}. It was the {thing}!
  <p> {hero} was <glad>. "Thank you, {helper}!" {hero.he} said. <careful>

careful:
- From that day on, {hero} always (put {hero.his} toys away|kept the {thing} in a safe place|asked for help when
  {hero.he} needed it).
- That night, {hero} slept with the {thing} (in {hero.his} arms|beside {hero.his} pillow).
- {hero} learned that it is good to (ask for help|stay calm|look carefully|work together).

sharing:
- <when> {hero.he} went to the {where=place} with {a} (small|big|full|heavy) (bag|basket|box).
  In it {hero.he} had <some_food>. <sky>
  {hero} sat down (on a bench|under a tree|on the grass|on a flat stone) and wanted to eat.
  Then {hero.he} saw {friend=child}. {friend} looked (hungry|tired|sad and hungry|pale).
  <p> "(Did you eat|Are you hungry|What is wrong), {friend}?" asked {hero}.
  "I (forgot|dropped|lost) my lunch," said {friend}.
  {hero} (thought about it|looked at the food|waited for a moment). (It was {hero.his} favorite food.|{Hero.he} was hungry,
  too.|)
  Then {hero.he} said, "(Here, take half.|We can share.|There is enough for both of us.|Please eat with me.)"
  <p> They ate together and (laughed|told jokes|talked about school|watched the birds|sang a song).
  {friend} was <glad>. "(You are very kind|You are a good friend|I will never forget this|Thank you so much), {hero}," {friend.he} said.
  <sharing_end>

some_food:
- {a} <single>
- (three|four|five|some) <many>

single:
- apple|sandwich|cake|pie|banana|muffin|pear|bun|pancake|cheese roll

many:
- cookies|grapes|strawberries|nuts|cherries|plums|crackers

sharing_end:
- The next day, {friend} brought (bread|juice|soup|sweets|a melon) and shared it with {hero}.
- {hero} learned that (sharing makes food taste better|sharing makes friends|a kind heart is never hungry).
- From then on, {hero} and {friend} (ate together every day|were best friends|shared everything).

hurt_animal:
- <when> {hero.he} was walking (to|through|near) the {where=place}. <sky>
  {Hero.he} heard a (soft|small|strange|sad) sound (in the grass|behind a bush|under a bench|near a stone).
  It was a (tiny|little|scared|wet) {pet=animal}. <wound>
  <p> "(Oh no|Poor thing|Do not be afraid|Hello, little one)!" said {hero}. "I will (help|carry|look after|take care of) you."
  {Hero.he} (picked it up gently|wrapped it in {hero.his} scarf|put it in {hero.his} hat|held it in {hero.his} hands)
  and (ran|walked|hurried) home. {helper=elder} (washed|looked at|cleaned) the {pet} and gave it
  (water|milk|a warm blanket|something to eat).
  <p> For (three|four|five|ten) days, {hero} (fed it|sat beside it|sang to it|told it stories) until it was well again.
  Then it was time to say goodbye. {hero} took the {pet} back to its {pet.home}. It {pet.sound} (happily|loudly|twice
  |softly) (and ran away|and looked back|), as if to say thank you. <animal_end>

wound:
- Its leg was hurt.|It had lost its mother.|It could not walk.|It was shaking with cold.|It was stuck in a net.

animal_end:
- {hero} felt (sad and happy at the same time|warm inside|proud).
- Sometimes the {pet} came back to (visit|play with|see) {hero}.
- {helper} said, "(I am proud of you|You have a good heart|You did the right thing), {hero}."

fear:
- {Hero.he} was (brave|strong|clever), but {hero.he} was afraid of <scary>
  <p> {friend=child} (laughed|said nothing|did not understand), but {helper=elder} (sat down beside {hero.him}|took {hero.his}
  hand|smiled at {hero.him}). "(Everyone is afraid of something|I was afraid of it, too|Being brave means trying), {hero}," said {helper}.
  "(Take a deep breath|Count to ten|Hold my hand|Take one small step), and (try again|you will see|do not give up)."
  {hero} (closed {hero.his} eyes|counted to ten|thought of something nice|took a deep breath) and tried.
  (First it was hard.|{Hero.his} knees were shaking.|{Hero.his} heart was loud.|) But (soon|slowly|after a while) {hero.he} felt better.
  <p> "I did it!" {hero} (shouted|said|cried|called). {helper} (clapped|hugged {hero.him}|was very proud).
  <fear_end>

scary:
- the dark. <when> the lamp in {hero.his} room (broke|went out), and {hero.he} (hid under the blanket|called for help|could not sleep).
- deep water. <when> all the children went swimming, but {hero} (stayed on the sand|only watched|sat on a towel).
- thunder. <when> a big storm came, and {hero} (hid in the closet|covered {hero.his} ears|began to shake).
- dogs. <when> a big dog ran into the garden, and {hero} (climbed on a chair|screamed|hid behind a tree).
- high places. <when> the class climbed a tower, but {hero} (stopped at the first step|wanted to go home|held the rail).

fear_end:
- Now {hero} knew that (being brave is not the same as having no fear|fear gets smaller when you look at it).
- After that day, {hero} was not afraid anymore.
- That evening, {hero} told everyone how brave {hero.he} had been.

promise:
- <when> {helper=elder} said, "{hero}, (I have to go out|I am going to the market|I need a rest). Please <chore>
  "I promise," said {hero}.
  But then {friend=child} came with {a} {color=color} {thing=toy}, and they played (all day|for hours|until dinner|in the garden).
  {hero} forgot the promise.
  <p> When {helper} came back, <result> {helper} was not (angry|loud|mean), but (very sad|very quiet).
  {hero} felt (bad|ashamed|sorry). "I am sorry, {helper}," {hero.he} said. "I (forgot|played too long|did not think). I will make it right."
  <p> {hero} (worked hard|did not stop|hurried) until everything was good again. {friend} (helped, too|said sorry, too|went home).
  {helper} (smiled|hugged {hero.him}|nodded) and said, "(Thank you|Everyone makes mistakes|Now I can trust you again), {hero}."
  From then on, {hero} (always kept {hero.his} promises|did {hero.his} work before {hero.his} games|never forgot a promise).

chore:
- water the flowers." {task=flower_task}
- feed the cat." {task=cat_task}
- close the gate." {task=gate_task}
- take the bread out of the oven." {task=bread_task}

flower_task [name result]:
- It was a hot day. / all the flowers were dry.
cat_task [name result]:
- The bowl was empty. / the cat was very hungry.
gate_task [name result]:
- The goats were in the yard. / the goats were on the road.
bread_task [name result]:
- It smelled good. / the bread was black.

result:
- {task.result}

building:
- {hero} and {friend=child} (were best friends|were neighbors|went to the same school).
  <when> they wanted to build {a} {work=work.name} (together|for the whole village|as a surprise).
  <sky> {hero} brought {work.first}, and {friend} brought {work.second}. They worked (all morning|for hours|until they were tired|very hard).
  The {work.name} was (beautiful|tall|almost perfect|bigger than they were).
  <p> But then {work.disaster} "(Oh no|Look at it|All our work), it is broken!" said {friend}. {Friend.he} wanted to (give up|go home|cry).
  {hero} (thought for a moment|wiped {hero.his} face|put a hand on {friend.his} shoulder) and said, "(We can build it again|Now we know what to do better
  |Let us not give up)."
  They started once more. This time they made it (stronger|wider|lower and stronger|with more care).
  <p> In the evening, the {work.name} stood (firm|straight|proud) in the (last|red|warm) light. {hero} and {friend} were <glad>.
  (They learned that it is good to try again.|"(Together we can do anything|Trying again was a good idea|We make a good team)," said {friend}.
  |Everyone came to see it.)

work [name first second disaster]:
- sandcastle / sand / water / a big wave came and washed it away.
- snowman / snow / a carrot / the sun came out and the head fell off.
- tree house / wood / nails / a strong wind blew the roof away.
- tower / blocks / boxes / a dog ran into it.
- bridge / stones / sticks / the rain made the river too high.
- tent / a blanket / a rope / the rope broke.

gift:
- <when> {hero.he} heard that it was {helper=elder}'s birthday. {Hero.he} wanted to give {helper.him} something special.
  But {hero} had only (two|three|four|five) coins. {Hero.he} went to the (shop|market|store), but {a} {color=color} (scarf|hat|cup|vase) cost (ten|twelve|twenty) coins. {hero} was <sad>.
  <p> On the way home, {hero.he} met {friend=child}. "(You do not need money|The best gifts are made by hand|Make something yourself)," said {friend}.
  "(What does {helper} like|What can you do well|What makes {helper} smile)?"
  {hero} had an idea. {Hero.he} took paper, (glue|paint|wool|ribbon), and (leaves|buttons|shells|feathers), and made {a} <handmade>.
  <p> {helper} opened the gift and (smiled|had tears in {helper.his} eyes|could not speak). "This is the best gift of all," {helper.he} said.
  {hero} was <glad>. (They ate cake together.|Then they danced in the kitchen.|{hero} told {friend} about it the next day.)

handmade:
- card with a poem|picture of the family|paper crown|little book|mask|paper flower|picture frame

quarrel:
- <when> {hero} and {friend=child} found {a} {color=color} {thing=toy} (in the park|at school|on the playground|near the river).
  "I saw it first!" said {hero}. "No, (I did|it is mine|give it to me)!" said {friend}.
  They (pulled|pushed|shouted), and (then|suddenly|at last) the {thing} {accident=accident}.
  <p> Both were (quiet|angry|sorry) now. {helper=elder} (came by|heard the noise|looked out of the window) and asked, "(What happened|Why are you so loud|Who wants
  to tell me about it)?" They told {helper.him} everything.
  "(When you fight, nobody wins|Take turns, and both can play|A friend is worth more than a toy)," said {helper}.
  <p> {hero} (looked at {friend}|thought about it|took a deep breath). "I am sorry," {hero.he} said. "I am sorry, too," said {friend}.
  They {accident.mended} the {thing} together, and then they took turns. (It was much more fun.|They played until dark.|Soon they were laughing again.)
  {hero} learned that (sharing is better than fighting|friends are more important than things|saying sorry is not hard).

accident [name mended]:
- broke / repaired
- fell into the mud / washed
- flew over a wall / found

newcomer:
- <when> a new child came to (school|the village|{hero.his} street). It was {a} {friend=child.kind} named {friend}. {friend} did not (know anyone|speak much|smile) and
  (stood alone by the wall|sat under a tree|looked at the ground).
  {hero} (saw this|noticed it|remembered how that feels) and went over. <p> "Hello, I am {hero}. Do you want to (play|come) with (me|us)?" {hero.he} asked.
  "(I do not know how to play|Nobody asked me before|I am shy|Yes, please)," said {friend}. "(That is all right|I will show you|It is easy|Come on)," said {hero}.
  They played (tag|hide and seek|catch|with marbles|football|pirates). {friend} was (very fast|good at it|funny|better than everyone), and soon
  (all the children|everyone|the others) wanted to play with {friend.him}.
  <p> In the evening, {friend} said, "(I was afraid to come here|I missed my old home|I thought I would be alone), but now I have a friend."
  {hero} was <glad>. (They walked home together.|They promised to meet again the next day.|{hero} was glad that {hero.he} had said hello.)

honesty:
- <when> {hero.he} found {a} {item=valuable} (on the road|near the {where=place}|under a bench|in front of the bakery).
  It was (heavy|beautiful|shiny|almost new). {hero} looked around, but nobody was there. "I could keep it," {hero.he} thought. "(I could buy sweets|Nobody would know
  |I would be rich)."
  <p> But then {hero.he} (thought about the person who had lost it|saw a name on it|remembered what {helper=elder} had said).
  {hero} (asked at every door|ran to the police station|put up a note) until {a} (old|young|tall|thin) (woman|man) (said|cried|called), "That is mine! I looked for it
  (everywhere|all day|for hours)!"
  <p> {hero} gave the {item} back. "(Thank you|You are an honest child|The world needs people like you)," said the owner, and gave {hero.him} (a coin|a bag of apples|a book
  |a warm hug). {hero} felt (good|light|proud) all the way home. (Being honest was better than being rich.|{Hero.he} knew that {hero.he} had done the right thing.|It was the best day of the week.)

valuable [name]:
- wallet|ring|watch|purse|necklace|silver key|phone|bracelet

garden:
- <when> {helper=elder} gave {hero.him} a small seed. "(Plant it and wait|If you are patient, you will see a wonder|Give it water and love)," said {helper}.
  {hero} put the seed in (a pot|the ground|a corner of the garden|a wooden box) and gave it water. The next day, {hero.he} looked, but there was nothing.
  The day after, there was still nothing. "(It is broken|It does not like me|Nothing will happen)," said {hero}. {Hero.he} was <sad>.
  <p> "(Good things need time|Be patient|Roots grow first), {hero}," said {helper}. So {hero} (waited|sang to the seed|drew pictures of it|counted the days) and gave it water every (morning|evening).
  <sprout> <p> First it was small, but then it grew into {a} (tall|big|strong|lovely) {plant=plant}. {hero} was <glad>.
  (Everyone in the street came to look.|{Hero.he} gave one to {helper}.|{hero} learned that patience is worth it.) (The next year, {hero} planted (two|three|many) more.|)

sprout:
- After (one week|two weeks|a warm rain|a long time), a green (leaf|tip|stem) came out of the ground.

plant [name]:
- sunflower|rose|pumpkin|bean plant|tomato plant|apple tree|strawberry plant|tulip

race:
- (Long ago|Once upon a time|One spring), {a} {boaster=racer} and {a} {rival=racer} lived (in the same forest|on the same farm|near a lake).
  The {boaster} said every day, "I am the (fastest|best|strongest) of all." The {rival} (smiled|said nothing|only nodded). One day, the {rival} said, "(Then let us race|Show me), from the {from=mark} to the {to=mark}."
  All the animals came to watch. <p> The race began. The {boaster} was far ahead (at once|in no time|after a few steps). "(This is easy|I have time|I can rest)," it thought, and it
  (lay down under a tree|stopped to eat|looked at itself in the water|told everyone how fast it was). But the {rival} went on, (step by step|without a break|slowly but surely).
  When the {boaster} looked up, the {rival} was already (at the {to}|close to the end|near the finish). The {boaster} ran as fast as it could, but it was too late.
  <p> The {rival} (won|was first), and the animals (cheered|clapped|danced). The {boaster} was (quiet|ashamed|surprised). "You were better today," it said.
  "(Let us be friends|You can win next time|Everyone is good at something)," said the {rival}. (From then on, the {boaster} never boasted again.|They shared a cake with everyone.|Never stop too early.)

racer [name]:
- rabbit|turtle|horse|goat|duck|fox|deer|mouse|cat|dog|pig|frog

mark [name]:
- old oak|river|big stone|red barn|hill|well|white fence|bridge
)grammar";

}  // namespace

const Grammar& story_grammar() {
  static const Grammar grammar(notation);
  return grammar;
}

Story embedded_story(std::uint64_t seed, std::uint64_t index) {
  cria::Rng rng = cria::Rng(seed).split(index);
  Derivation derivation(story_grammar());
  while (!derivation.probabilities().empty()) {
    const auto probabilities = derivation.probabilities();
    double draw = rng.uniform();
    std::size_t choice = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
      if (probabilities[i] == 0.0) continue;
      choice = i;  // the last possible one, should rounding leave a rest
      if ((draw -= probabilities[i]) < 0) break;
    }
    derivation.take(choice);
  }
  return {derivation.text(), derivation.log_probability()};
}

}  // namespace pretrain
