// Voice mail: record, play, seen, delete.
import { el, button, time, short, problem } from './dom.js';

const MOST_S = 120;
const SECOND_MS = 1000;

export class Mail {
	#recorder = null;

	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'list' });
		this.text = el('p', { role: 'status' });
		this.acts = el('div', { className: 'acts' });
		this.box = el('div', { className: 'record', hidden: true }, this.text, this.acts);
		this.element = el('section', { role: 'group', 'aria-label': 'Voice mail' }, el('h2', {}, 'Voice mail'), this.box, this.list);
	}

	start() {
		this.phone.live.watch(`/user/${this.phone.email}/messages`, (event, data) => {
			if (event !== 'state' && event !== 'change') return;
			const kept = new Map([...this.list.children].map((li) => [li.dataset.self, li]));
			this.list.replaceChildren(...data.map((one) => this.#line(one, kept.get(one.self))));
			if (!data.length) this.list.append(el('li', { className: 'empty' }, 'No messages.'));
			this.phone.badge('mail', data.filter((one) => !one.seen).length);
		});
	}

	#line(one, kept) {
		const { api } = this.phone;
		if (kept) {
			kept.classList.toggle('new', !one.seen);
			return kept;
		}
		const made = el('li', { className: one.seen ? '' : 'new' }, el('span', { className: 'who' }, one.from ? short(one.from) : 'Somebody who was not signed in',
			el('small', {}, time(one.created_at), ` · ${one.type}`)),
		button(one.type === 'text' ? 'Read' : 'Play', () => this.phone.attempt(() => this.#open(one, made)), { className: 'play' }),
		button('Delete', () => this.phone.attempt(() => api.request('DELETE', one.self))));
		made.dataset.self = one.self;
		return made;
	}

	/** It is shown as text, or played as sound or film: never as a page. */
	async #open(one, line) {
		const { api } = this.phone;
		line.querySelector('.opened')?.remove();
		const content = await api.request('GET', one.self);
		let opened;
		if (content instanceof Blob) {
			const isFilm = content.type.startsWith('video/');
			opened = el(isFilm ? 'video' : 'audio', { controls: true, autoplay: true, src: URL.createObjectURL(content) });
			opened.addEventListener('emptied', () => URL.revokeObjectURL(opened.src));
		} else {
			opened = el('p', {}, typeof content === 'string' ? content : `It is elsewhere: ${content.url}`);
		}
		opened.classList.add('opened');
		line.append(opened);
		await api.request('PATCH', one.self, { seen: true });
	}

	/** Records a message, and leaves it. */
	async record(to) {
		this.phone.show('mail');
		this.box.hidden = false;
		this.text.textContent = `For ${to}. Speak after you have started.`;
		const close = () => {
			this.#recorder?.stream.getTracks().forEach((track) => track.stop());
			this.#recorder = null;
			this.box.hidden = true;
		};
		const cancel = button('Cancel', close);
		this.acts.replaceChildren(button('Record', async () => {
			try {
				await this.#listen(to, close, cancel);
			} catch (error) {
				this.text.textContent = problem(error, '; or write to them');
			}
		}, { className: 'go' }), cancel);
		this.acts.firstChild.focus();
	}

	async #listen(to, close, cancel) {
		const recorder = new MediaRecorder(await navigator.mediaDevices.getUserMedia({ audio: true }));
		const parts = [];
		this.#recorder = recorder;
		recorder.ondataavailable = ({ data }) => parts.push(data);
		recorder.onstop = () => {
			if (this.#recorder !== recorder) return;
			this.phone.attempt(async () => {
				await this.phone.api.leave(to, new Blob(parts, { type: recorder.mimeType.split(';')[0] }));
				this.phone.chat.note(to, 'You left a voice message.');
				close();
				this.phone.people.pick(to);
			});
		};
		recorder.start();
		let left_s = MOST_S;
		const count = setInterval(() => {
			if (recorder.state !== 'recording') return clearInterval(count);
			left_s--;
			this.text.textContent = `Recording for ${to}; ${left_s} s left.`;
			return left_s || recorder.stop();
		}, SECOND_MS);
		this.text.textContent = `Recording for ${to}.`;
		this.acts.replaceChildren(button('Send', () => recorder.stop(), { className: 'go' }), cancel);
	}
}
