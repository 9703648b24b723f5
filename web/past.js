// Past calls: made, received and missed, as they end.
import { el, button, time, span, short, why } from './dom.js';

const TYPES = { made: '↗ Called', received: '↙ Called by', missed: '! Missed' };
const UNHEARD = ['media', 'unreachable', 'not-found', 'agent-lost']; // nothing has rung: there was nothing to miss

export class Past {
	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'list' });
		this.element = el('section', { role: 'group', 'aria-label': 'Past calls' }, el('h2', {}, 'Calls'), this.list);
	}

	start() {
		this.phone.live.watch(`/user/${this.phone.email}/calls`, (event, data) => {
			if (event !== 'state' && event !== 'change') return;
			this.list.replaceChildren(...data.map((call) => this.#line(call)));
			if (!data.length) this.list.append(el('li', { className: 'empty' }, 'No calls yet.'));
			const missed = data.filter((call) => call.type === 'missed').length;
			if (this.missed !== undefined && missed > this.missed) this.phone.badge('past', missed - this.missed);
			else this.missed = missed;
		});
	}

	seen() {
		this.missed = undefined;
		this.phone.badge('past', 0);
	}

	#line({ type, with: peer, started_at: at, duration, ended }) {
		const isUnheard = type === 'missed' && UNHEARD.includes(ended.cause);
		return el('li', { className: type }, el('span', { className: 'who' }, `${isUnheard ? '! Could not be rung by' : TYPES[type]} ${peer ? short(peer) : 'somebody who has gone'}`,
			el('small', {}, time(at), duration ? ` · ${span(duration)}` : '', ` · ${why(ended, this.phone.email, type !== 'made')}`)),
		peer && button('Call', () => this.phone.attempt(() => { this.phone.people.pick(peer); return this.phone.calls.call(peer); })));
	}
}
