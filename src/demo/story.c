#include "story.h"

#include "text.h"

static const char chapter[] =
	"Once there was a keeper who lived beside a sluice. Every morning she walked along the channel, looked at the "
	"water and turned the gate by one notch. When the river ran high she opened it wide, and the mill below had all "
	"the water it could use. When the river ran low she shut it, and the fields kept what they had. A traveller asked "
	"her why she did not leave the gate alone. She said that water is patient and people are not, and that someone has "
	"to stand between the two. The traveller thought about it, drank a cup of the water, and stayed for the evening. "
	"The next morning they walked along the channel together.";

void story_tell(size_t words, struct buf *out) {
	struct str rest = STR_NONE;
	struct str first = {chapter, sizeof chapter - 1};
	for (size_t told = 0; told < words; told++) {
		if (rest.length == 0) {
			buf_append_text(out, told > 0 ? "\n\n" : "");
			rest = first;
		}
		size_t length = text_piece(rest);
		struct str word = str_trim((struct str){rest.data, length});
		bool chapter_starts = rest.data == first.data;
		buf_append_text(out, chapter_starts ? "" : " ");
		if (told + 1 == words) {
			buf_append_str(out, text_trim(word));
			buf_append_char(out, '.');
		} else {
			buf_append_str(out, word);
		}
		rest = str_skip(rest, length);
	}
}
