#include "rules.h"

#include <stdlib.h>

#include "base/json.h"

#include "facts.h"
#include "story.h"
#include "sums.h"
#include "text.h"

#define COUNT_MAX 1000
#define QUOTE_MAX 80

struct question {
	const struct talk *talk;
	const struct talk_message *message; /* what is to be answered */
	struct str text;
	struct facts facts; /* what the user has told, this message included */
	size_t told;        /* how many facts this message told */
};

/* A rule is asked when one of its phrases stands in the question, or always if it names none; it appends an answer, or
 * leaves the question to the rules behind it by returning false. */
struct rule {
	const char *const *phrases;
	bool (*answer)(const struct question *q, struct buf *out);
};

#define PHRASES(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct talk_message *talk_last_user(const struct talk *talk, size_t end) {
	while (end > 0) {
		if (talk->messages[--end].role == TALK_USER) {
			return &talk->messages[end];
		}
	}
	return NULL;
}

static const struct talk_message *previous_user(const struct question *q) {
	return talk_last_user(q->talk, (size_t)(q->message - q->talk->messages));
}

static void append_quoted(struct buf *out, struct str text) {
	size_t length = str_utf8_prefix(text, QUOTE_MAX);
	buf_append_text(out, "\xE2\x80\x9C");
	buf_append_str(out, (struct str){text.data, length});
	buf_append_text(out, length < text.length ? "\xE2\x80\xA6\xE2\x80\x9D" : "\xE2\x80\x9D");
}

static bool answer_what_it_is(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(out,
			"I am the demo model of sluice: a small program that answers from a table of rules. I am not a "
			"language model and understand nothing. I am here so that you can try the server without a "
			"network; for real answers, point sluice at a real model.");
	return true;
}

static bool answer_sluice(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(
		out,
		"A sluice is a channel with a gate: it lets through what may pass, when it may. The program of that "
		"name does so with words, from a model to whoever listens. This much stands in my rules; I am a "
		"demo and know no more.");
	return true;
}

static bool answer_help(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(out,
			"I am a demo, not a language model, and these are all my rules:\n\n"
			"- **remember**: \"My name is Ada.\", \"I like tea.\", \"I live in Oslo.\", \"My dog is called "
			"Rex.\", \"Remember that the key is under the mat.\"\n"
			"- **recall**: \"What is my name?\", \"What do I like?\", \"What do you know about me?\"\n"
			"- **repeat**: \"What was my previous question?\", \"Repeat after me: hello.\"\n"
			"- **reckon**: \"What is 12 * (3 + 4)?\", \"Count to 10.\"\n"
			"- **test**: \"Tell a story of 200 words.\", \"Show me Markdown.\"\n"
			"- **tools**: I call a tool when the request offers one that fits the question.\n"
			"- **reasoning**: I say what I look for first when the request has a reasoning effort.");
	return true;
}

static bool answer_instructions(const struct question *q, struct buf *out) {
	bool any = false;
	for (size_t i = 0; i < q->talk->count; i++) {
		if (q->talk->messages[i].role == TALK_SYSTEM) {
			buf_append_text(out, any ? "\n" : "The instructions of this conversation say: ");
			buf_append_str(out, q->talk->messages[i].text);
			any = true;
		}
	}
	if (!any) {
		buf_append_text(out, "This conversation has no instructions.");
	}
	return true;
}

static bool answer_echo(const struct question *q, struct buf *out) {
	struct str rest;
	if (text_after(q->text, PHRASES("repeat after me", "echo", "say after me"), &rest) != 0) {
		return false;
	}
	while (rest.length > 0 && (rest.data[0] == ':' || rest.data[0] == ' ' || rest.data[0] == ',')) {
		rest = str_skip(rest, 1);
	}
	buf_append_str(out, rest);
	return rest.length > 0;
}

static bool answer_repeat(const struct question *q, struct buf *out) {
	const struct talk_message *before = previous_user(q);
	if (!before) {
		buf_append_text(out, "This is the first message of our conversation, so there is nothing before it.");
		return true;
	}
	buf_append_text(out, "Your previous message was: \xE2\x80\x9C");
	buf_append_str(out, before->text);
	buf_append_text(out, "\xE2\x80\x9D");
	return true;
}

static bool answer_how_many(const struct question *q, struct buf *out) {
	size_t count = 0;
	for (size_t i = 0; i < q->talk->count; i++) {
		count += q->talk->messages[i].role == TALK_USER;
	}
	buf_printf(out, "You have sent %zu message%s in this conversation, this one included.", count,
		   count == 1 ? "" : "s");
	return true;
}

static bool answer_name(const struct question *q, struct buf *out) {
	struct str name = facts_value(&q->facts, "name");
	if (name.length > 0) {
		buf_printf(out, "Your name is %.*s.", STR_ARG(name));
	} else {
		buf_append_text(out, "You have not told me your name in this conversation.");
	}
	return true;
}

/* "dog" for "dog called", "dog named" and "dog's name"; STR_NONE for anything else. */
static struct str bare_key(struct str key) {
	static const char *const endings[] = {"called", "named", "name", NULL};
	for (const char *const *ending = endings; *ending; ending++) {
		size_t start;
		size_t end;
		if (text_find(key, *ending, &start, &end) == 0 && start > 0 && end == key.length) {
			return text_owner(text_trim((struct str){key.data, start}));
		}
	}
	return STR_NONE;
}

/* "What is my KEY?", also "... my KEY called?" and "... my KEY's name?" */
static bool answer_mine(const struct question *q, struct buf *out) {
	struct str rest;
	struct str sentence;
	if (text_after(q->text,
		       PHRASES("what is my", "whats my", "what are my", "who is my", "whos my", "tell me my",
			       "do you know my", "do you remember my"),
		       &rest) != 0 ||
	    !text_sentence(&rest, &sentence)) {
		return false;
	}
	struct str key = text_trim(sentence);
	struct str value = facts_value_str(&q->facts, key);
	struct str bare = bare_key(key);
	if (value.length == 0 && bare.length > 0) {
		key = bare;
		value = facts_value_str(&q->facts, key);
	}
	if (value.length > 0) {
		buf_printf(out, "You told me that your %.*s is %.*s.", STR_ARG(key), STR_ARG(value));
	} else {
		buf_printf(out, "You have not told me your %.*s in this conversation.", STR_ARG(key));
	}
	return true;
}

static void append_list(const struct question *q, enum fact_kind kind, struct buf *out) {
	size_t left = 0;
	for (size_t i = 0; i < q->facts.count; i++) {
		left += q->facts.list[i].kind == kind;
	}
	for (size_t i = 0; i < q->facts.count; i++) {
		if (q->facts.list[i].kind == kind) {
			buf_append_str(out, q->facts.list[i].value);
			left--;
			buf_append_text(out, left > 1 ? ", " : left == 1 ? " and " : "");
		}
	}
}

static bool answer_likes(const struct question *q, struct buf *out) {
	if (!facts_first(&q->facts, FACT_LIKES)) {
		buf_append_text(out, "You have not told me what you like in this conversation.");
		return true;
	}
	buf_append_text(out, "You told me that you like ");
	append_list(q, FACT_LIKES, out);
	buf_append_char(out, '.');
	return true;
}

static bool answer_place(const struct question *q, struct buf *out) {
	const struct fact *place = facts_first(&q->facts, FACT_PLACE);
	if (place) {
		buf_printf(out, "You told me that your place is %.*s.", STR_ARG(place->value));
	} else {
		buf_append_text(out, "You have not told me where you live in this conversation.");
	}
	return true;
}

static bool answer_notes(const struct question *q, struct buf *out) {
	if (!facts_first(&q->facts, FACT_NOTE)) {
		buf_append_text(out, "You have not asked me to remember anything in this conversation.");
		return true;
	}
	buf_append_text(out, "You asked me to remember this: ");
	append_list(q, FACT_NOTE, out);
	buf_append_char(out, '.');
	return true;
}

static void append_fact(const struct fact *fact, struct buf *out) {
	switch (fact->kind) {
	case FACT_IS:
		buf_printf(out, "- your %.*s is %.*s\n", STR_ARG(fact->key), STR_ARG(fact->value));
		break;
	case FACT_LIKES:
		buf_printf(out, "- you like %.*s\n", STR_ARG(fact->value));
		break;
	case FACT_PLACE:
		buf_printf(out, "- your place is %.*s\n", STR_ARG(fact->value));
		break;
	case FACT_NOTE:
		buf_printf(out, "- to remember: %.*s\n", STR_ARG(fact->value));
		break;
	}
}

static bool answer_everything(const struct question *q, struct buf *out) {
	if (q->facts.count == 0) {
		buf_append_text(
			out,
			"Nothing: you have told me nothing about yourself in this conversation, and I see no other.");
		return true;
	}
	buf_append_text(out, "From this conversation, and from nowhere else:\n\n");
	for (size_t i = 0; i < q->facts.count; i++) {
		append_fact(&q->facts.list[i], out);
	}
	return true;
}

static bool answer_sum(const struct question *q, struct buf *out) {
	double value = 0;
	struct str shown;
	enum sum_outcome outcome = sum_find(q->text, &value, &shown);
	bool asked = text_has_any(
		q->text, PHRASES("what is", "whats", "how much is", "calculate", "compute", "add up", "reckon"));
	bool alone = outcome != SUM_NONE && shown.length == text_trim(q->text).length;
	if (outcome == SUM_NONE || (!asked && !alone)) {
		return false;
	}
	switch (outcome) {
	case SUM_DONE:
		buf_printf(out, "%.*s = %.12g", STR_ARG(shown), value);
		break;
	case SUM_BY_ZERO:
		buf_printf(out, "%.*s has no value: it divides by zero.", STR_ARG(shown));
		break;
	default:
		buf_append_text(out, "I can do sums on small numbers only, and this one is too large for me.");
	}
	return true;
}

static bool answer_count(const struct question *q, struct buf *out) {
	struct str rest;
	long first = 1;
	long last = 0;
	if (text_after(q->text, PHRASES("count from"), &rest) == 0) {
		if (text_number(&rest, &first) != 0) {
			return false;
		}
	} else if (text_after(q->text, PHRASES("count to", "count up to"), &rest) != 0) {
		return false;
	}
	if (text_number(&rest, &last) != 0) {
		return false;
	}
	if (labs(last - first) >= COUNT_MAX) {
		buf_printf(out, "That is too far for me: I count at most %d numbers.", COUNT_MAX);
		return true;
	}
	long step = last < first ? -1 : 1;
	for (long number = first;; number += step) {
		buf_append_i64(out, number);
		if (number == last) {
			return true;
		}
		buf_append_text(out, ", ");
	}
}

static bool answer_story(const struct question *q, struct buf *out) {
	struct str rest = q->text;
	long words = STORY_DEFAULT_WORDS;
	(void)text_number(&rest, &words);
	if (words < 1 || words > STORY_MAX_WORDS) {
		buf_printf(out, "I can tell a story of 1 to %d words.", STORY_MAX_WORDS);
		return true;
	}
	story_tell((size_t)words, out);
	return true;
}

static bool answer_markdown(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(out, "## A sample of Markdown\n\n"
			     "Some **bold**, some *italic*, some `code`, and a list:\n\n"
			     "1. a sluice is a channel\n"
			     "2. with a gate\n"
			     "   - that opens\n"
			     "   - and shuts\n\n"
			     "```c\n"
			     "#include <stdio.h>\n\n"
			     "int main(void) {\n"
			     "\tputs(\"Hello from the demo model.\");\n"
			     "\treturn 0;\n"
			     "}\n"
			     "```\n\n"
			     "| word | meaning |\n"
			     "|---|---|\n"
			     "| sluice | a channel with a gate |\n\n"
			     "> It is only a sample, from a demo.\n");
	return true;
}

static bool answer_outside(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(
		out, "I cannot know that: I see nothing but this conversation, neither a clock nor the network. I am a "
		     "demo that answers by rules.");
	return true;
}

/* The message told something: say what was understood. */
static bool answer_told(const struct question *q, struct buf *out) {
	if (q->told == 0) {
		return false;
	}
	struct facts news = {0};
	facts_learn(&news, q->text);
	struct str name = facts_value(&news, "name");
	if (name.length > 0) {
		buf_printf(out, "Nice to meet you, %.*s. ", STR_ARG(name));
	}
	buf_append_text(out, "I will remember, as long as this conversation lasts:\n\n");
	for (size_t i = 0; i < news.count; i++) {
		append_fact(&news.list[i], out);
	}
	return true;
}

static bool answer_greeting(const struct question *q, struct buf *out) {
	struct str name = facts_value(&q->facts, "name");
	buf_append_text(out, "Hello");
	if (name.length > 0) {
		buf_printf(out, ", %.*s", STR_ARG(name));
	}
	buf_append_text(
		out, "! I am sluice's demo model: I answer by a few rules and am no language model. Ask \"What can you "
		     "do?\" to see them all.");
	return true;
}

static bool answer_how_are_you(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(out, "I am a table of rules, so I feel nothing; but I am running. What can I do for you?");
	return true;
}

static bool answer_thanks(const struct question *q, struct buf *out) {
	(void)q;
	buf_append_text(out, "You are welcome.");
	return true;
}

static bool answer_farewell(const struct question *q, struct buf *out) {
	struct str name = facts_value(&q->facts, "name");
	buf_printf(out, "Goodbye%s%.*s!", name.length > 0 ? ", " : "", STR_ARG(name));
	return true;
}

static bool answer_unknown(const struct question *q, struct buf *out) {
	if (text_trim(q->text).length == 0) {
		buf_append_text(out, "Your message is empty. I am a demo: ask \"What can you do?\" to see my rules.");
		return true;
	}
	buf_append_text(out, "I have no rule for ");
	append_quoted(out, text_trim(q->text));
	buf_append_text(
		out,
		". I am a demo, not a language model: I can remember what you tell me, do sums, count, repeat your "
		"last message, tell a story of as many words as you like, show Markdown, and call tools. Ask "
		"\"What can you do?\" for examples.");
	return true;
}

/* From the most particular to the most general; the first that answers wins. */
static const struct rule rules[] = {
	{PHRASES("repeat after me", "say after me", "echo"), answer_echo},
	{PHRASES("previous question", "last question", "previous message", "last message", "what did i just say",
		 "what did i say before", "what did i just ask", "repeat my question", "repeat my message"),
	 answer_repeat},
	{PHRASES("how many messages", "how many questions"), answer_how_many},
	{PHRASES("your instructions", "your system prompt"), answer_instructions},
	{PHRASES("what is my name", "whats my name", "who am i", "what am i called", "do you know my name",
		 "do you remember my name", "remember my name", "tell me my name"),
	 answer_name},
	{PHRASES("what do i like", "what do i love", "what do i enjoy", "do you know what i like"), answer_likes},
	{PHRASES("where do i live", "where am i from", "where do i come from", "do you know where i live"),
	 answer_place},
	{PHRASES("what did i ask you to remember", "what did i tell you to remember", "what should you remember",
		 "what do you remember", "do you remember what"),
	 answer_notes},
	{PHRASES("what do you know about me", "what did i tell you", "what have i told you", "about me"),
	 answer_everything},
	{PHRASES("my"), answer_mine},
	{PHRASES("count"), answer_count},
	{PHRASES("tell a story", "tell me a story", "write a story", "write me a story", "another story"),
	 answer_story},
	{PHRASES("markdown", "code block"), answer_markdown},
	{NULL, answer_sum},
	{PHRASES("what is a sluice", "whats a sluice", "what is sluice", "what does sluice do"), answer_sluice},
	{PHRASES("what can you do", "help", "what are your rules", "what do you do", "your limits"), answer_help},
	{PHRASES("who are you", "what are you", "are you a", "are you an", "are you real", "your name", "which model",
		 "what model", "chatgpt", "language model"),
	 answer_what_it_is},
	{PHRASES("what time", "what day", "what date", "todays date", "the time", "the weather", "the news"),
	 answer_outside},
	{NULL, answer_told},
	{PHRASES("how are you", "how do you do"), answer_how_are_you},
	{PHRASES("hello", "hi", "hey", "good morning", "good afternoon", "good evening", "greetings"), answer_greeting},
	{PHRASES("thanks", "thank you", "thx"), answer_thanks},
	{PHRASES("bye", "goodbye", "see you", "good night"), answer_farewell},
	{NULL, answer_unknown},
};

static void append_result(struct str result, struct buf *out) {
	struct json *root = json_parse(result, NULL);
	if (!root || json_type(root) != JSON_OBJECT) {
		buf_append_str(out, result);
		json_free(&root);
		return;
	}
	buf_append_char(out, '\n');
	for (const struct json *member = json_first(root); member; member = json_next(member)) {
		buf_append_text(out, "\n- ");
		buf_append_str(out, json_key(member));
		buf_append_text(out, ": ");
		if (json_type(member) == JSON_STRING) {
			buf_append_str(out, json_str(member));
		} else {
			json_print(member, out);
		}
	}
	json_free(&root);
}

/* The results of the tools that were called last, in the order in which they came. */
static void answer_tools(const struct talk *talk, struct buf *out) {
	size_t first = talk->count;
	while (first > 0 && talk->messages[first - 1].role == TALK_TOOL) {
		first--;
	}
	for (size_t i = first; i < talk->count; i++) {
		struct str tool = talk->messages[i].tool;
		buf_append_text(out, i > first ? "\n\nThe tool " : "The tool ");
		if (tool.length > 0) {
			buf_append_str(out, tool);
			buf_append_char(out, ' ');
		}
		buf_append_text(out, "says: ");
		append_result(talk->messages[i].text, out);
	}
}

void rules_answer(const struct talk *talk, struct buf *out) {
	if (talk->count > 0 && talk->messages[talk->count - 1].role == TALK_TOOL) {
		answer_tools(talk, out);
		return;
	}
	struct question q = {.talk = talk, .message = talk_last_user(talk, talk->count)};
	if (!q.message) {
		buf_append_text(out, "There is no message to answer.");
		return;
	}
	q.text = q.message->text;
	for (const struct talk_message *message = talk->messages; message <= q.message; message++) {
		if (message->role == TALK_USER) {
			q.told = facts_learn(&q.facts, message->text);
		}
	}
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		if ((!rules[i].phrases || text_has_any(q.text, rules[i].phrases)) && rules[i].answer(&q, out)) {
			return;
		}
	}
}
